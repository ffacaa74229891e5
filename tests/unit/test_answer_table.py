"""The answer across videos as text: what is shown, and that nothing of a stranger's acts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import example, given

from pipeline.present.tables.index.answer import answer_table
from pipeline.present.terminal import rendered
from pipeline.view_json import dumps
from pipeline.views import AnswerView, CitedMoment, VideoRef
from tests.security.hostile_text import TERMINAL, TEXTS, obeyed

FILM = VideoRef("", "Film a", "a", "a.mp4", Path("out/a"), Path("out/a/gist.json"))
ANSWER = AnswerView(
    question="When?", provider="twelvelabs/v1.3", answer="Twice:\n\n\n\nat the begin, and later.", checked=True,
    moments=[CitedMoment(FILM, 3.0, 9.5, "the door opens"), CitedMoment(FILM, 3700.0, 3701.0, "")],
    dropped={"do not lie within their video": 2}, videos=3, absent=1, unread=2, cut=True,
    usage={"input_tokens": 12_000, "output_tokens": 345}, usd=0.0275, at=1_800_000_000.0,
)  # fmt: skip


def shown(value: AnswerView, width: int = 100) -> list[str]:
    """Return the lines that stdout would get."""
    return rendered(answer_table(value), width=width).splitlines()


def test_answer_moments_and_what_is_missing() -> None:
    """The answer, each moment with its video, the results once; every lack in a sentence."""
    lines = shown(ANSWER)
    assert lines[0] == "3 videos asked on twelvelabs/v1.3 · 12,345 tokens · $0.028"
    assert lines[1:5] == [
        "not asked, because not on this platform: 1 video",
        "not asked, because not readable to the platform: 2 videos",
        "the answer ends where the platform's limit of tokens was reached",
        "2 moments left out: they do not lie within their video",
    ]
    assert lines[5:9] == ["", "Twice:", "", "at the begin, and later."]
    assert lines[10].split() == ["from", "to", "video", "words"]
    assert [line.split()[:2] for line in lines[11:13]] == [["0:03", "0:09"], ["1:01:40", "1:01:41"]]
    assert lines[-1] == "out/a/gist.json"


def test_a_kept_answer_and_one_without_moments_say_so() -> None:
    """Nothing was paid now; nobody has checked it; nobody knows what it cost."""
    head, since, why, *_ = shown(
        replace(ANSWER, kept=True, usd=None, absent=0, unread=0, cut=False, checked=False, dropped={})
    )
    assert "at a price that is not known" in head
    assert since == "kept since 2027-01-15T08:00:00Z: nothing was paid now; --again asks once more"
    assert "without moments that could be checked" in why


@given(TEXTS)
@example("".join(TERMINAL))
def test_nothing_of_a_stranger_acts(text: str) -> None:
    """In the answer, a quote, a title: shown, never obeyed, on a terminal and as JSON."""
    video = replace(FILM, title=text)
    value = replace(ANSWER, answer=text, moments=[CitedMoment(video, 1.0, 2.0, text)])
    assert obeyed(rendered(answer_table(value), width=100)) == []
    assert obeyed(dumps(value)) == []


def test_an_answer_without_end_is_cut_on_the_terminal() -> None:
    """``--json`` has all of it."""
    assert len("".join(shown(replace(ANSWER, answer="x" * 1_000_000)))) < 30_000
