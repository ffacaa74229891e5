"""One row of a CSV or JSONL manifest into a Line: names, types, hints. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.model import Json, Trouble
from pipeline.ports.source import ManifestLine

FIELDS = ("source", "id", "title", "tags", "jobs", "prompt", "metadata")

ALIASES = {"url": "source", "path": "source"}

METADATA = "metadata."

_JOB_SPLIT = re.compile(r"[\s|;,]+")

_TAG_SPLIT = re.compile(r"[|;]")


class RowError(Exception):
    """A row that cannot be used. Travels two calls up and no further."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


def column(name: str) -> str:
    """Return the field that a column or key stands for.

    Raises:
        RowError: there is no such field; the remedy names the nearest one.
    """
    clean = name.strip()
    lower = clean.lower()
    if lower.startswith(METADATA) and len(lower) > len(METADATA):
        return METADATA + clean[len(METADATA) :]
    known = [*FIELDS, *ALIASES]
    if lower in known:
        return ALIASES.get(lower, lower)
    near = difflib.get_close_matches(lower, known, 1)
    hint = (
        f"did you mean '{near[0]}'?"
        if near
        else f"known: {', '.join(FIELDS)}; anything else goes into {METADATA}<name>"
    )
    raise row_error("manifest_unknown_key", f"'{clean[:60]}' is not a known column.", hint)


def columns(names: Sequence[str]) -> list[str]:
    """Return the fields of a header or of an object's keys.

    Raises:
        RowError: one is unknown or there twice, or there is no source.
    """
    found = [column(name) for name in names]
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise row_error("manifest_key_twice", f"'{twice[0]}' is given twice.", "keep one of source, url and path")
    if "source" not in found:
        raise row_error("manifest_no_source", "There is no 'source' column.", "name it source, url or path")
    return found


def line(fields: Mapping[str, Json], place: str, known_job: Callable[[str], bool]) -> ManifestLine:
    """Return the line that these fields describe.

    Raises:
        RowError: a value has the wrong type, the source is empty, or a job is unknown.
    """
    source = _text(fields, "source")
    if not source:
        raise row_error("source_empty", "The source is empty.", "give a path or an address")
    jobs = _words(fields.get("jobs"), "jobs", _JOB_SPLIT)
    for job in jobs:
        if not known_job(job):
            raise row_error("unknown_job", f"No job is called '{job[:60]}'.", "`reelmill config check` lists the jobs")
    return ManifestLine(
        source=source,
        place=place,
        id=_text(fields, "id"),
        title=_text(fields, "title"),
        tags=_words(fields.get("tags"), "tags", _TAG_SPLIT),
        jobs=jobs,
        prompt=_text(fields, "prompt"),
        metadata=_metadata(fields),
    )


def _text(fields: Mapping[str, Json], name: str) -> str:
    value = fields.get(name)
    if name == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise row_error("manifest_type", f"'{name}' must be text.", f'write it as "{name}": "…"')
    return sound(value.strip(), name)


def _words(value: Json, name: str, split: re.Pattern[str]) -> tuple[str, ...]:
    if value is None:
        return ()
    entries = split.split(value) if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise row_error("manifest_type", f"'{name}' must be a list of words.", 'separate them by | or write ["a", "b"]')
    words = [sound(entry.strip(), name) for entry in entries]
    return tuple(dict.fromkeys(word for word in words if word))


def _metadata(fields: Mapping[str, Json]) -> dict[str, str]:
    whole = fields.get("metadata")
    if isinstance(whole, str) and whole.strip():
        try:
            whole = json.loads(whole)
        except (ValueError, RecursionError):
            raise row_error(
                "manifest_type", "'metadata' is not a JSON object.", "or use columns named metadata.<name>"
            ) from None
    if whole and not isinstance(whole, Mapping):
        raise row_error("manifest_type", "'metadata' must be an object.", "or use columns named metadata.<name>")
    parts = {name.removeprefix(METADATA): value for name, value in fields.items() if name.startswith(METADATA)}
    merged = {**(whole or {}), **{name: value for name, value in parts.items() if value not in (None, "")}}
    return {sound(name, "metadata"): _scalar(name, value) for name, value in merged.items() if value is not None}


def _scalar(name: str, value: Json) -> str:
    if isinstance(value, str):
        return sound(value, "metadata")
    if isinstance(value, int | float):
        return json.dumps(value)
    raise row_error("manifest_type", f"'metadata.{name[:60]}' must be text, a number, true or false.", "flatten it")


def sound(text: str, name: str) -> str:
    """Return the text if every character of it can be stored.

    Raises:
        RowError: it holds half a surrogate pair (an escaped character cut in two) or a NUL.
    """
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise row_error("manifest_type", f"'{name}' holds a character that does not exist.", "write it as UTF-8 text")
    return text


def row_error(code: str, message: str, remedy: str) -> RowError:
    """Return the exception for a row."""
    return RowError(Trouble(code, message, remedy))
