"""Captions' data files, made here or in a process of their own."""

from __future__ import annotations

import json

import anyio
import pytest

from pipeline.gallery import caption_scripts
from pipeline.gallery.caption_scripts import CaptionScripts
from pipeline.gallery.data_files import captions_script
from pipeline.media import process

CUES = "".join(f"{n}\n00:{n:02}:00,000 --> 00:{n:02}:02,500\n{{word}} <b>no</b> {n}\n\n" for n in range(60))
TEXTS = [(f"film--{n:08x}", CUES.replace("{word}", f"wörd {n}\u2028\ud800")) for n in range(400)] + [
    ("film--0", "none")
]


def made(*groups: list[tuple[str, str]]) -> tuple[list[list[str]], bool]:
    """Make the scripts of each group; return them, and whether a process had been started."""

    async def make() -> tuple[list[list[str]], bool]:
        scripts = CaptionScripts()
        try:
            found = [await scripts.make(group) for group in groups]
            return found, scripts._process is not None
        finally:
            await scripts.aclose()

    return anyio.run(make)


def test_many_are_made_elsewhere_and_are_the_same() -> None:
    """A few are made here, many in a process; the content is the same, half characters included."""
    few, many = TEXTS[:3], TEXTS
    found, started = made(few, many)
    assert found == [[captions_script(*each) for each in group] for group in (few, many)]
    assert started
    assert found[1][-1] == ""
    assert made(few)[1] is False
    assert json.loads(json.loads(found[0][1].partition(',"c-00000001",')[2].removesuffix(");\n")))["cues"][1] == [
        60, 62.5, "wörd 1 no 1",
    ]  # fmt: skip


@pytest.mark.parametrize("module", ["this", "pipeline.no_such_module"])
def test_a_process_that_ends_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """They are made here then, and no other process is tried."""
    monkeypatch.setattr(caption_scripts, "MAIN", module)
    found, started = made(TEXTS, TEXTS[:2])
    assert found == [[captions_script(*each) for each in group] for group in (TEXTS, TEXTS[:2])]
    assert not started


def test_an_answer_that_is_too_large_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions of hundreds of megabytes in a block of videos keep no page from being made."""
    monkeypatch.setattr(process, "_LONGEST", 100_000)
    found, started = made(TEXTS, TEXTS[:2])
    assert found == [[captions_script(*each) for each in group] for group in (TEXTS, TEXTS[:2])]
    assert not started
