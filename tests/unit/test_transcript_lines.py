"""What was heard as lines: whatever the platform says, they are in order, plain, and can be read on a screen."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.transcripts.lines import to_body, to_files
from pipeline.media.captions import parse
from pipeline.ports.video_api import Transcription, Utterance

SPOKEN = st.builds(
    Utterance,
    st.floats(-1e9, 1e9),
    st.floats(-1e9, 1e9),
    st.text(max_size=60)
    | st.sampled_from(["a --> b", "<b>x</b>", "\x1b[31m", "1\n00:00:01,000 --> 00:00:02,000\nfoul"]),
    st.text(max_size=8),
)


def files(heard: Transcription) -> dict[str, str]:
    """Return the files of what was heard, by their endings."""
    body = to_body(heard)
    assert body is not None
    return {file.name.rpartition(".")[2]: str(file.content) for file in to_files(json.loads(json.dumps(body)))}


def test_sentences_are_lines_and_utterances_name_who_speaks() -> None:
    """In SubRip, which knows no voices, whenever somebody else begins."""
    said = [Utterance(0.0, 2.0, "Bees fly."), Utterance(2.0, 4.0, "So they do."), Utterance(4.0, 5.0, "Why?")]
    who = [Utterance(0.0, 4.1, "Bees fly. So they do.", "Anna"), Utterance(4.1, 5.0, "Why?", "2")]
    made = files(Transcription("ready", "", said, who, [Utterance(0.0, 1.0, "Bees")]))
    assert "00:00:00.000 --> 00:00:02.000\n<v Anna>Bees fly.\n" in made["vtt"]
    assert made["srt"].split("\n\n")[:2] == [
        "1\n00:00:00,000 --> 00:00:02,000\nAnna: Bees fly.",
        "2\n00:00:02,000 --> 00:00:04,000\nSo they do.",
    ]
    assert "2: Why?" in made["srt"]
    told = json.loads(made["json"])
    assert told["words"] == [{"start": 0.0, "end": 1.0, "text": "Bees"}]
    assert [line.get("speaker") for line in told["lines"]] == ["Anna", "Anna", "2"]


def test_words_alone_become_lines_that_a_screen_takes() -> None:
    """They end where nobody speaks, after a sentence, and before they are too long."""
    words = [Utterance(n * 0.4, n * 0.4 + 0.3, f"w{n}." if n % 10 == 9 else f"w{n}") for n in range(40)]
    words += [Utterance(60.0, 60.5, "late")]
    cues = parse(files(Transcription("ready", words=words))["vtt"])
    assert " ".join(cue.text for cue in cues).split() == [word.text for word in words]
    assert all(len(cue.text) <= 84 and cue.end - cue.start <= 7.0 for cue in cues)
    assert cues[-1].text == "late"


@given(st.lists(SPOKEN, max_size=8), st.lists(SPOKEN, max_size=8), st.lists(SPOKEN, max_size=8))
def test_whatever_was_said_the_files_hold_it_and_nothing_else(
    sentences: list[Utterance], utterances: list[Utterance], words: list[Utterance]
) -> None:
    """As many cues as lines, in order; no control character, no markup and no foreign cue."""
    heard = Transcription("ready", "", sentences, utterances, words)
    if to_body(heard) is None:
        return
    made = files(heard)
    lines = json.loads(made["json"])["lines"]
    assert made["vtt"].count(" --> ") == made["srt"].count(" --> ") == len(lines)
    assert [line["start"] for line in lines] == sorted(line["start"] for line in lines)
    assert "\x1b" not in made["vtt"] + made["srt"]
    assert "<b>" not in made["vtt"]
