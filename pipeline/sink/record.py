"""``video.json`` as the sink reads it.

It carries the list of our files under ``files`` (names, or name → size), their checksums under ``sha256``, and under
``results`` the answers with the files of each. Whatever is odd in it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence

from pipeline.core.model import Json
from pipeline.sink import layout

RECORD = "video.json"


def parse(content: bytes | None) -> dict[str, Json]:
    """Return a record; empty where it is none."""
    try:
        found: Json = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def encode(record: Mapping[str, Json]) -> str:
    """Return a record as it is written."""
    return json.dumps(record, ensure_ascii=False, indent=2, default=str) + "\n"


def files_of(record: Mapping[str, Json]) -> list[str]:
    """Return the names that a record lists as ours."""
    names = record.get("files")
    entries = list(names) if isinstance(names, list | dict) else []
    return [name for name in entries if isinstance(name, str) and layout.is_file(name)]


def checksums_of(record: Mapping[str, Json], names: Sequence[str]) -> dict[str, str]:
    """Return the checksums of these files as written; old records hold none."""
    known = _table(record, "sha256")
    return {name: known[name] for name in names if name != RECORD and isinstance(known.get(name), str)}


def known_checksums(records: Sequence[Mapping[str, Json]]) -> dict[str, set[str]]:
    """Return every checksum that these records give a file."""
    found: dict[str, set[str]] = {}
    for each in records:
        for name, checksum in checksums_of(each, files_of(each)).items():
            found.setdefault(name, set()).add(checksum)
    return found


def key_of(record: Mapping[str, Json]) -> str:
    """Return the key of a record's video; empty where it says none."""
    key = record.get("key")
    return key if isinstance(key, str) else ""


def is_of_another(records: Sequence[Mapping[str, Json]], subject: str) -> bool:
    """True if these records are of another video; ``subject`` empty: never."""
    there = next(filter(None, map(key_of, records)), subject)
    return bool(subject) and there != subject


def carry_over(old: Mapping[str, Json], contents: MutableMapping[str, bytes]) -> frozenset[str]:
    """Take files and results of the old record over; return the files.

    The new one is among ``contents``. What it asks for (``asked``) is its own; another state folder, or one that was lost,
    had asked for the rest. Answers as received that the new one names stay, where the database has given them up.
    """
    new = parse(contents.get(RECORD))
    before, present, asked = _table(old, "results"), _table(new, "results"), new.get("asked")
    if not isinstance(asked, list):
        return frozenset()
    theirs = {name: entry for name, entry in before.items() if name not in present and name not in asked}
    listed = files_of(old)
    given_up = _answers(present) & {*listed}
    files = (_files_of_results(theirs, listed) | given_up) - contents.keys()
    if not theirs and not files:
        return frozenset()
    new["results"] = {**present, **theirs}
    new["files"] = sorted({*files_of(new), *files})
    new["sha256"] = {**checksums_of(old, sorted(files)), **_table(new, "sha256")}
    contents[RECORD] = encode(new).encode("utf-8", "backslashreplace")
    return files


def _files_of_results(results: Mapping[str, Json], listed: Sequence[str]) -> frozenset[str]:
    """Return which of the listed files belong to these results."""
    entries = [entry for entry in results.values() if isinstance(entry, dict) and isinstance(entry.get("files"), list)]
    if len(entries) < len(results):  # records of earlier releases do not tell which files are whose: all stay
        return frozenset(listed)
    return frozenset(name for name in listed if any(name in entry["files"] for entry in entries))


def _answers(results: Mapping[str, Json]) -> set[str]:
    """Return the names of the answers as received that these results come from."""
    found = (entry.get("answer") for entry in results.values() if isinstance(entry, dict))
    return {name for name in found if isinstance(name, str)}


def _table(record: Mapping[str, Json], name: str) -> dict[str, Json]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}
