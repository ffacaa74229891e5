"""Recognizing what a lost answer has left behind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from pipeline.provider.dialects.json_reading import JsonObject, build_page, parse
from pipeline.provider.dialects.protocol import FoundObject, MalformedId, Page, Response, UnreadableAnswer

#: How far two clocks may disagree after the platform's Date header was taken into account, seconds.
CLOCK_SKEW = 120.0


def read_found(
    id_names: tuple[str, ...], label_of: Callable[[JsonObject], str], failed: frozenset[str], wanted: str | None
) -> Callable[[Response], Page[FoundObject]]:
    """Return a reader of a page of what lost answers may have left behind.

    ``wanted`` is the label that is looked for; None: anybody's, and what has no proper id is read without one.

    Raises:
        UnreadableAnswer: of the reader, if what bears the wanted label has no proper id: it is there, and cannot be told.
    """

    def build(body: JsonObject) -> FoundObject:
        label = label_of(body)
        try:
            found = body.id(*id_names)
        except MalformedId:
            if wanted is None:
                found = ""
            elif label != wanted:
                raise
            else:
                raise UnreadableAnswer(f"what is called {wanted} has no proper id") from None
        return FoundObject(found, label, body.timestamp("created_at"), body.text("status") in failed)

    return lambda response: build_page(parse(response), build)


def is_young(found: FoundObject, since: float) -> bool:
    """Return True if it can have been made after an intent.

    ``since`` is by the platform's clock.
    """
    return found.created is not None and found.created >= since - CLOCK_SKEW


def pick_by_label(
    entries: Iterable[FoundObject], label: str, since: float, useless: Collection[str] = ()
) -> str | None:
    """Return the id of what carries our label, best a young one.

    ``useless`` ids are passed over.

    ``since`` is by the platform's clock, but no bound for what is alive: our clock may have been set back after the intent
    was stored, and then even what we have just left behind looks older. One that failed counts only if it is certainly
    younger; otherwise a retry of a failed upload would find the old failure again.
    """
    older: str | None = None
    fallen: str | None = None
    for entry in entries:
        if entry.label != label or entry.id in useless:
            continue
        if not entry.failed:
            if entry.created is None or entry.created >= since - CLOCK_SKEW:
                return entry.id
            older = older or entry.id
        elif fallen is None and entry.created is not None and entry.created >= int(since):
            fallen = entry.id
    return older or fallen
