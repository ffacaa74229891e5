"""An account of API v1.3: assets, entries of indexes, analysis tasks, open multipart uploads. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.account import Holding, OpenSession, Sort
from pipeline.provider import wire
from pipeline.provider.account_dialect import OWNER, PAGE, Shelf, system_facts
from pipeline.provider.dialect import Page, Request, Response


class AccountV13:
    """The living side. Stateless."""

    sorts: Sequence[Sort] = ("indexed", "analysis", "asset")
    uploads: Sort = "asset"
    placed: Sequence[Sort] = ("indexed",)
    shelves: Mapping[Sort, Shelf] = {
        "indexed": Shelf("indexed", "/indexes/{place}/indexed-assets"),
        "analysis": Shelf("analysis", "/analyze/tasks", ids=("task_id", "_id", "id")),
        "asset": Shelf("asset", "/assets", by_ids="asset_ids"),
    }

    def read(self, sort: Sort, body: Mapping[str, Any], place: str) -> Holding:
        """Return one entry of a list, or the thing itself."""
        shelf = self.shelves[sort]
        if sort == "analysis":
            source = wire.sub(body, "video_source")
            return shelf.holding(body, "", name=wire.said(body, "custom_id"), media=wire.said(source, "asset_id"))
        owner = wire.said(wire.sub(body, "user_metadata"), OWNER)
        if sort == "indexed":  # a list of these tells no metadata
            told, facts = "user_metadata" in body, system_facts(body, "system_metadata")
            return shelf.holding(
                body, place, owner=owner if told else None, media=wire.said(body, "asset_id"), **facts
            )  # fmt: skip
        return shelf.holding(
            body, "", owner=owner, name=wire.said(body, "filename"), size=int(wire.number(body, "size")),
            seconds=wire.number(body, "duration"),
        )  # fmt: skip

    def sessions(self, page: int) -> Request | None:
        """List the multipart uploads that are not complete."""
        return Request("GET", "/assets/multipart-uploads", params=wire.paging(page, PAGE), safe=True)

    def read_sessions(self, response: Response) -> Page[OpenSession]:
        """Return a page of them."""
        return wire.page_of(wire.parse(response), _session)


def _session(body: Mapping[str, Any]) -> OpenSession:
    times = wire.epoch(body.get("created_at")), wire.epoch(body.get("expires_at"))
    return OpenSession(wire.ident(body, "upload_id", "_id", "id"), int(wire.number(body, "total_size")), *times)
