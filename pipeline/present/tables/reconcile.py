"""The plan of ``reconcile`` and its outcome. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.ports.inventory import RemoteObject
from pipeline.present.formatting import clean, count, fit, money, size, when
from pipeline.present.tables.layout import new_table, remedy, section
from pipeline.views import AnswerStore, Expiring, Leftover, OpenUpload, Reconciled, Reconciliation, Vanished

_GIVES_WAY: Final = frozenset({"name", "item", "what can be done", "use"})
_NAME: Final = 60
_ITEM: Final = 40
#: What a sort is called: one and many.
_SORTS: Final[Mapping[str, tuple[str, str]]] = {
    "asset": ("asset", "assets"), "analysis": ("analysis", "analyses"), "indexed": ("index entry", "index entries"),
    "video": ("video", "videos"), "task": ("indexing task", "indexing tasks"),
}  # fmt: skip
#: Short, so that the ids fit beside them on any terminal: an id that is cut cannot be agreed to.
_WHY: Final = {"superseded": "replaced", "cancelled": "cancelled", "stray": "not from here"}
_REPAIR: Final = {
    "file": "upload the file again", "fetch": "fetch and upload it again", "address": "hand the address over again",
    "none": "its file is gone, too: put it back first; the results stay",
}  # fmt: skip


def reconcile_table(value: Reconciliation, *, strays: bool = False, applied: bool = False) -> RenderableType:
    """Show the plan; ``strays`` would be deleted too; ``applied``: it has been carried out."""
    parts: list[RenderableType] = [Text(f"{clean(value.account)}: {_counted(value.counts)}", "dim")]
    doomed = [*value.orphans, *(value.strays if strays else [])]
    parts += section(f"to be deleted ({len(doomed):,})", [_leftovers(doomed)]) if doomed else []
    if value.strays and not strays:
        parts += section(f"left alone ({len(value.strays):,})", [_leftovers(value.strays)])
        why = "--strays deletes these as well: right only if no other state folder uses the account"
        parts.append(remedy(why, "dim", indent=0))
    parts += section(f"vanished ({len(value.vanished):,})", [_vanished(value.vanished)]) if value.vanished else []
    parts += (
        section("soon to be lost; `reelmill run` fetches answers in time", [_expiring(value.expiring, value.at)])
        if value.expiring
        else []
    )
    parts += section("open uploads", [_sessions(value.sessions, value.at)]) if value.sessions else []
    parts += section("knowledge stores of `ask`; left alone", [_stores(value.stores)]) if value.stores else []
    return Group(*parts, *_ending(value, bool(doomed), applied))


def _ending(value: Reconciliation, doomed: bool, applied: bool) -> list[RenderableType]:
    said: list[RenderableType] = []
    if value.left_out:
        said.append(Text(f"{value.left_out:,} more beyond the limit: run it again for those", "yellow"))
    if value.not_found:
        said.append(Text(f"nothing to do about {fit(', '.join(value.not_found), 200)}", "yellow"))
    if doomed or value.repairable:
        said += [] if applied else [Text("nothing is changed yet: --apply does this, after asking", "dim")]
    elif not value.vanished:
        said.append(Text("nothing to do: the database and the account agree"))
    return [Text(""), *said] if said else []


def outcome(value: Reconciled) -> str:
    """Return in one or two lines what was done."""
    done = [
        f"deleted {_by_sort(value.deleted)}",
        *([f"{len(value.gone):,} already gone"] if value.gone else []),
        *([f"{count(len(value.rearmed), 'video')} to be uploaded again by the next run"] if value.rearmed else []),
        *([f"{len(value.changed):,} changed since the plan and left alone"] if value.changed else []),
        *([f"{len(value.refused):,} refused by the platform"] if value.refused else []),
    ]
    lines = [" · ".join(done)]
    for holding, trouble in value.refused[:20]:
        lines.append(f"  {holding.sort} {clean(holding.id)}: {clean(trouble.message)}")
    return "\n".join(lines)


def question(value: Reconciliation, doomed: Sequence[Leftover]) -> str:
    """Return the question before deleting."""
    what = _by_sort([each.holding for each in doomed])
    paid = " A cancelled item that is retried later asks, and pays, again." if _asked(doomed) else ""
    return f"delete {what} at {clean(value.account)}? This cannot be undone.{paid} [y/N]"


def repair_question(those: Sequence[Vanished]) -> str:
    """Return the question before uploading again."""
    usd = sum(each.usd for each in those)
    paid = f" Indexing them again costs about {money(usd)}." if usd else " Nothing that has a result is asked again."
    volume = size(sum(each.size for each in those))
    return f"have the next run upload {count(len(those), 'vanished video')} again ({volume})?{paid} [y/N]"


def _asked(doomed: Iterable[Leftover]) -> bool:
    return any(each.verdict == "cancelled" and each.holding.sort == "analysis" for each in doomed)


def _counted(counts: Mapping[str, Mapping[str, int]]) -> str:
    told = [
        f"{count(sum(by.values()), *_SORTS[sort])} ({', '.join(f'{number:,} {verdict}' for verdict, number in by.items())})"
        for sort, by in counts.items()
    ]
    return ", ".join(told) or "nothing is there"


def _by_sort(holdings: Sequence[RemoteObject]) -> str:
    numbers: dict[str, int] = {}
    for holding in holdings:
        numbers[holding.sort] = numbers.get(holding.sort, 0) + 1
    return ", ".join(count(number, *_SORTS[sort]) for sort, number in numbers.items()) or "nothing"


def _leftovers(those: Sequence[Leftover]) -> Table:
    table = new_table(("what", "id", "why", "name", "item"), fold=_GIVES_WAY)
    for each in those:
        holding = each.holding
        table.add_row(
            _SORTS[holding.sort][0], clean(holding.id), _WHY[each.verdict], Text(fit(holding.name, _NAME) or "-"),
            Text(_item(each.item)),
        )  # fmt: skip
    return table


def _vanished(those: Sequence[Vanished]) -> Table:
    table = new_table(("id", "size", "item", "what can be done"), right=("size",), fold=_GIVES_WAY)
    for each in those:
        paid = f", {money(each.usd)}" if each.usd else ""
        table.add_row(
            clean(each.media_id), size(each.size) if each.size else "-", Text(_item(each.item)),
            _REPAIR[each.repair] + paid,
        )  # fmt: skip
    return table


def _expiring(those: Sequence[Expiring], now: float) -> Table:
    table = new_table(("what", "id", "until", "item"), fold=_GIVES_WAY)
    for each in those:
        table.add_row(each.what, clean(each.id), when(each.until, now), Text(_item(each.item)))
    return table


def _sessions(those: Sequence[OpenUpload], now: float) -> Table:
    table = new_table(("id", "state", "item", "size", "expires by itself"), right=("size",), fold=_GIVES_WAY)
    for each in those:
        until = when(each.until, now) if each.until else "within a day"
        table.add_row(clean(each.id), each.state, Text(_item(each.item)), size(each.size), until)
    return table


def _stores(those: Sequence[AnswerStore]) -> Table:
    table = new_table(("id", "videos", "unread", "use"), right=("videos", "unread"), fold=_GIVES_WAY)
    for each in those:
        use = "asked" if each.used else "none: an older one is asked"
        table.add_row(clean(each.id), f"{each.videos:,}", f"{each.failed:,}", use)
    return table


def _item(source: str) -> str:
    """Return the end of a source: that is where paths and addresses differ."""
    text = clean(source)
    return fit(text if len(text) <= _ITEM else f"…{text[-_ITEM + 1 :]}", _ITEM) or "-"
