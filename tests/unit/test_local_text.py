"""Sentences out of cues, what is central in them, and where one topic ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.local.analysis.answer.prompt_hints import Count, about, find_count, request
from pipeline.local.analysis.answer.property_names import kind_of, parts
from pipeline.local.analysis.evidence import CHAPTER_MARKS, HEADING, Evidence, ExtractedContent, Facts, Shot
from pipeline.local.analysis.text.centrality import alike, centrality, choose
from pipeline.local.analysis.text.chapters import by_marks, by_shots, by_slides, nearest
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.analysis.text.headlines import headline
from pipeline.local.analysis.text.phrases import key_phrases
from pipeline.local.analysis.text.quoting import leans, stands_alone
from pipeline.local.analysis.text.sentences import sentences
from pipeline.local.analysis.text.topics import topic_borders
from pipeline.local.languages import ENGLISH, language_of, load_language


def cues(*texts: str, each: float = 2.0, gap: float = 0.0) -> list[Evidence]:
    """Return cues one after the other."""
    step = each + gap
    return [Evidence(n * step, n * step + each, "conversation", text, "x") for n, text in enumerate(texts)]


def test_a_sentence_over_several_cues_keeps_its_words_and_times() -> None:
    """Sentences are put together across cues; a border inside a cue is placed by its share of the letters."""
    found = sentences(cues("The sea rises", "twice a day. It falls", "as often."))
    assert [s.text for s in found] == ["The sea rises twice a day.", "It falls as often."]
    assert found[0].start == 0.0
    assert found[0].end == pytest.approx(found[1].start, abs=0.15)
    assert found[1].end == 6.0


def test_abbreviations_and_initials_end_no_sentence() -> None:
    """Dr. Smith and J. F. Kennedy stay whole; a single letter at the end of a sentence ends it."""
    found = sentences(cues("Dr. Smith met John F. Kennedy. Take A and B. What then?"))
    assert [s.text for s in found] == ["Dr. Smith met John F. Kennedy.", "Take A and B.", "What then?"]


def test_speech_without_full_stops_is_cut_at_pauses() -> None:
    """Automatic captions have no punctuation: silence and length cut them at cue borders."""
    words = ["so the sea rises and falls", "twice a day on most coasts", "and the moon is the reason"]
    found = sentences(cues(*words, gap=2.0))
    assert [s.text for s in found] == words
    joined = sentences(cues(*words))
    assert [s.text for s in joined] == [" ".join(words)]


def test_sounds_and_music_are_no_sentences() -> None:
    """Bracketed sounds and notes are left out; brackets inside speech stay."""
    assert sentences(cues("[Music]", "♪ la la ♪", "(applause)")) == []
    assert [s.text for s in sentences(cues("[Music]", "It is [almost] done."))] == ["It is [almost] done."]


def test_words_meet_by_their_stems() -> None:
    """Plurals and simple verb endings do not part words; different words stay apart."""
    for one, other in (
        ("bees", "bee"),
        ("colonies", "colony"),
        ("embeddings", "embedding"),
        ("sealed", "seal"),
        ("dance", "dances"),
    ):
        assert ENGLISH.stem(one) == ENGLISH.stem(other)
    assert ENGLISH.stem("pass") != ENGLISH.stem("pas")
    assert ENGLISH.stems("The bees and the queen") == ("bee", ENGLISH.stem("queen"))


BREAD_IN = {
    "da": "Brødet bages af mel, vand og salt. Dejen skal hvile i mange timer, før den kommer i ovnen.",
    "de": "Brot wird aus Mehl, Wasser und Salz gemacht. Der Teig muss viele Stunden ruhen, bevor er in den Ofen kommt.",
    "el": "Το ψωμί γίνεται με αλεύρι, νερό και αλάτι. Η ζύμη πρέπει να ξεκουραστεί πολλές ώρες πριν μπει στον φούρνο.",
    "en": "Bread is made of flour, water and salt. The dough has to rest for many hours before it goes into the oven.",
    "es": "El pan se hace con harina, agua y sal. La masa debe reposar muchas horas antes de entrar en el horno.",
    "fr": "Le pain se fait avec de la farine, de l'eau et du sel. La pâte doit reposer des heures avant d'aller au four.",
    "it": "Il pane si fa con farina, acqua e sale. La pasta deve riposare per molte ore prima di andare nel forno.",
    "nl": "Het brood wordt gemaakt van meel, water en zout. Het deeg moet vele uren rusten voordat het in de oven gaat.",
    "pt": "O pão é feito com farinha, água e sal. A massa precisa de descansar muitas horas antes de ir ao forno.",
    "ru": "Хлеб пекут из муки, воды и соли. Тесто должно отдыхать много часов, прежде чем оно попадёт в печь.",
    "sv": "Brödet bakas av mjöl, vatten och salt. Degen måste vila i många timmar innan den går in i ugnen.",
}


@pytest.mark.parametrize("code", BREAD_IN)
def test_a_language_is_known_by_its_small_words(code: str) -> None:
    """Two sentences are enough to tell a language, and its small words carry no subject."""
    found = language_of(BREAD_IN[code])
    assert found.code == code
    assert len(found.stems(BREAD_IN[code])) < len(found.words(BREAD_IN[code]))


def test_what_is_in_no_known_language_is_read_as_english() -> None:
    """Words without small words, and no words at all, are read as before."""
    assert language_of("gradient descent, learning rate, batch size") is ENGLISH
    assert language_of("") is ENGLISH
    assert load_language("tlh") is ENGLISH


def test_other_languages_meet_by_their_stems() -> None:
    """Endings of other languages do not part words, and an elided article is none of the word."""
    german, french = load_language("de"), load_language("fr")
    assert german.stems("Die Scheibe und die Scheiben") == (german.stem("scheibe"),) * 2
    assert french.stems("L'eau salée et les eaux salées")[0] == french.stem("eau")
    assert [p.text for p in key_phrases(["L'eau monte.", "L'eau descend."], 1, french)] == ["eau"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("It grows in the shade.", "en"),
        ("When it doubles within six hours, the dough is strong enough.", "en"),
        ("Do this four times with half an hour between the rounds.", "en"),
        ("Let it rest for forty minutes.", "en"),
        ("After that the dough rests.", "en"),
        ("Those turn slowly.", "en"),
        ("Sie schwimmt auf einem Bad aus Zinn.", "de"),
        ("Das ist der letzte Schritt.", "de"),
        ("Cette croûte est la fleur de sel.", "fr"),
        ("Por eso se conserva en botellas oscuras.", "es"),
    ],
)
def test_a_pronoun_at_the_beginning_leans_on_what_was_said_before(text: str, code: str) -> None:
    """Such a sentence is never quoted alone where there are others."""
    assert leans(text, load_language(code))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The mite feeds on it.", "en"),
        ("When the dough doubles, it is ready.", "en"),
        ("Now that the light is electric, the keepers have gone.", "en"),
        ("Half an hour is enough.", "en"),
        ("Das Zinn ist glatt wie ein See.", "de"),
        ("Das flüssige Glas schwimmt.", "de"),
        ("L'eau passe d'un bassin à l'autre.", "fr"),
    ],
)
def test_a_sentence_that_names_its_subject_stands_alone(text: str, code: str) -> None:
    """A pronoun further inside, an article and a joining "that" are no reason to drop a sentence."""
    assert stands_alone(text, load_language(code))


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("A chain has more than a hundred links, and every one is a bearing.", "A chain has more than a hundred links"),
        ("When the sea rises, the boats float again in the harbour.", None),
        ("The gas escapes through the open valve, if the spring is broken.", None),
        ("Dry leaves, straw, old newspapers and the torn cardboard bring the carbon.", None),
        ("Flour, water, and the salt of the sea make a dough that rises.", None),
        ("The goal is a place where, for example, and in the end, all of it comes to rest at last.", None),
        ("Short one.", None),
    ],
)
def test_a_headline_is_a_whole_clause(text: str, clause: str | None) -> None:
    """A sentence is cut where a clause of its own ends, never behind a condition, in a list or before one."""
    assert headline(text, ENGLISH) == (clause or text.rstrip("."))


def test_speech_without_an_end_is_cut_with_an_ellipsis() -> None:
    """Where no clause ends within reach, what is left out is shown, and no small word dangles."""
    text = "the workers fan their wings for hours and hours and hours until most of the water has left the nectar of the cells"
    assert (
        headline(text, ENGLISH) == "the workers fan their wings for hours and hours and hours until most of the water…"
    )


def test_a_digest_covers_a_text_and_repeats_nothing() -> None:
    """Of like sentences one is taken, those that lean are left out, and no part is forgotten."""
    found = sentences(cues(
        "The moon pulls the water of the sea towards itself every day and every night.",
        "It pulls the water of the sea towards the moon every day and every night.",
        "The moon pulls the water of the sea towards itself by day and by night.",
        "Under the moon the water of the sea stands in two bulges, and the coasts turn below.",
        "A harbour keeps its water behind a lock until the sea comes back to the boats.",
        "The boats in the harbour wait behind the lock for the water of the sea.",
    ))  # fmt: skip
    chosen = choose(found, list(centrality(found, ENGLISH)), 3, 0.0, 12.0)
    assert len(chosen) == 3
    assert not any(leans(s.text, ENGLISH) for s in chosen)
    assert all(alike(a, b) <= 0.6 for a, b in pairwise(chosen))
    assert chosen[0].start < 6 <= chosen[-1].start


def test_where_every_sentence_leans_the_best_of_them_are_quoted() -> None:
    """A text of pronouns has a digest, too."""
    found = sentences(cues("It falls.", "It rises again.", "They see it."))
    assert len(choose(found, list(centrality(found, ENGLISH)), 2, 0.0, 6.0)) == 2


def test_key_phrases_prefer_what_is_repeated_and_named() -> None:
    """A repeated pair of words beats its parts; spelling is the most frequent one."""
    texts = [
        "The waggle dance is a dance.",
        "A waggle dance shows the flowers.",
        "Flowers are far.",
        "The waggle dance ends.",
    ]
    found = key_phrases(texts, 5, ENGLISH)
    assert found[0].text == "waggle dance"
    assert "waggle" not in [phrase.text for phrase in found]


def test_the_central_sentence_is_the_one_the_others_talk_about() -> None:
    """A sentence that shares words with all others ranks above one that shares none."""
    found = sentences(cues(
        "The moon pulls the water of the sea.", "The water of the sea rises under the moon.",
        "My neighbour bought new yellow curtains yesterday.", "Under the moon the sea has two bulges of water.",
    ))  # fmt: skip
    scores = centrality(found, ENGLISH)
    assert scores.argmin() == 2


def test_ranking_a_very_long_text_is_bounded() -> None:
    """Thousands of sentences are ranked in blocks."""
    assert len(centrality(sentences(cues(*["The sea rises again today."] * 1200)), ENGLISH)) == 1200


BREAD = [
    "The dough of the bread needs flour.",
    "Flour and salt make dough.",
    "The oven bakes the bread dough.",
    "Salt and flour again.",
]
TIDES = [
    "The moon pulls the tide.",
    "The tide of the sea follows the moon.",
    "At full moon the tide is high.",
    "The sea and the moon turn.",
]
BEES = [
    "The queen of the hive lays eggs.",
    "Worker bees feed the queen bee.",
    "A hive of bees makes honey.",
    "The bees keep the hive warm.",
]


def test_topic_borders_are_where_the_words_change() -> None:
    """Three topics of twelve sentences each are cut at the two changes."""
    found = sentences(cues(*BREAD * 3, *TIDES * 3, *BEES * 3))
    assert topic_borders(found, ENGLISH, 0.0, 72.0, 12) == pytest.approx([0, 24, 48, 72], abs=2.1)


def test_one_topic_is_one_piece_unless_pieces_are_asked_for() -> None:
    """A text that stays with its words is not cut without need."""
    found = sentences(cues(*TIDES * 6))
    assert topic_borders(found, ENGLISH, 0.0, 48.0, 12) == [0.0, 48.0]
    assert len(topic_borders(found, ENGLISH, 0.0, 48.0, 12, exactly=3)) == 4


def test_a_border_lies_where_the_speaker_pauses_and_no_thought_is_cut() -> None:
    """A long pause tells a border, but not before a sentence that leans on the one before it."""
    texts = [
        f"The {a} of {b} stands beside the {c}."
        for a, b, c in zip("abcdefghijkl", "mnopqrstuvwx", "yzabcdefghij", strict=True)
    ]
    said = cues(*texts, each=5.0, gap=0.2)
    moved = [replace(cue, start=cue.start + 3.0 * (n >= 6), end=cue.end + 3.0 * (n >= 6)) for n, cue in enumerate(said)]
    found = sentences(moved)
    assert topic_borders(found, ENGLISH, 0.0, 66.0, 12, exactly=2)[1] == found[6].start
    leaning = sentences([replace(cue, text="It stands there." if n == 6 else cue.text) for n, cue in enumerate(moved)])
    assert topic_borders(leaning, ENGLISH, 0.0, 66.0, 12, exactly=2)[1] != leaning[6].start


def test_borders_without_any_sign_are_those_of_an_equal_split() -> None:
    """Captions without gaps and words that never repeat: pieces of like length, each begun by a sentence."""
    found = sentences(cues(*(f"Wort{n} ist anders als ander{n}." for n in range(24)), each=5.0))
    borders = topic_borders(found, load_language("de"), 0.0, 120.0, 12, exactly=4)
    assert borders == pytest.approx([0, 30, 60, 90, 120], abs=5.0)
    assert topic_borders(found, load_language("de"), 0.0, 120.0, 12) == [0.0, 120.0]


def test_a_text_of_hours_is_cut_in_bounded_time_and_memory() -> None:
    """Thousands of sentences are put together before borders are looked for."""
    found = sentences(cues(*BREAD * 400, *TIDES * 400, *BEES * 400, each=5.0))
    borders = topic_borders(found, ENGLISH, 0.0, 24_000.0, 12)
    assert borders == pytest.approx([0, 8_000, 16_000, 24_000], abs=200.0)


def test_vectors_tell_borders_and_key_sentences_where_words_do_not() -> None:
    """Sentences without a common word are alike by what they mean, and one that means what most do is the key."""
    found = sentences(cues(*(f"Word{n} stands{n} alone{n}." for n in range(20)), each=5.0))
    meaning = np.array([[1.0, 0.0] if n < 8 else [0.0, 1.0] for n in range(20)])
    assert topic_borders(found, ENGLISH, 0.0, 100.0, 12, exactly=2, meaning=meaning) == [0.0, 40.0, 100.0]
    assert topic_borders(found, ENGLISH, 0.0, 100.0, 12, meaning=meaning)[1:-1].count(40.0) == 1
    odd = np.array([[0.0, 1.0] if n == 3 else [1.0, 0.0] for n in range(20)])
    assert centrality(found, ENGLISH, odd).argmin() == 3


def test_a_chapter_is_not_called_by_chat_or_twice_by_one_name() -> None:
    """What a speaker says of the talk, or of "those", is no title, nor is another form of one that is taken."""
    chat = [
        "I'm going to show the engine now.",
        "We'll talk about the engine again.",
        "The engine needs those parts often.",
    ]
    said = [
        *chat,
        "Water cools the engine.",
        "Oil and water keep it quiet in every weather that a car may meet on the road.",
    ]
    wheels = [
        "A wheel has a rubber tyre.",
        "Rubber tyres grip the road.",
        "The rubber tyre wears out.",
        "Snow needs rubber tyres.",
    ]
    content = ExtractedContent(
        Facts(200.0, 640, 360, 25.0, "mp4", "h264", "aac", True, 1, 1, "video/mp4", "", ""),
        tuple(cues(*said * 2, *wheels * 2, *wheels * 3, each=5.0)), "",
    )  # fmt: skip
    titles = [chapter.title for chapter in ContentSummary(content).chapters(3, 3)]
    assert titles[0] == "Water cools the engine"
    assert len({title.lower().rstrip("s") for title in titles}) == 3


def test_container_marks_are_borders() -> None:
    """Chapter marks inside the part that counts are taken as they are."""
    marks = [Evidence(a, a + 10, "chapter", str(a), CHAPTER_MARKS) for a in (0.0, 10.0, 20.0)]
    assert by_marks(marks, 0.0, 30.0) == [0.0, 10.0, 20.0, 30.0]
    assert by_marks(marks[:1], 0.0, 30.0) == []


def test_slides_give_borders_and_brief_or_repeated_ones_are_joined() -> None:
    """A flash of a title joins what follows; two slides of one heading are one; moving pictures are no slides."""
    starts = [0.0, 0.5, 20.0, 40.0, 60.0]
    shots = [Shot(a, b, 0.0, ("white",)) for a, b in pairwise(starts)]
    headings = [Evidence(a, a + 20, "text_in_video", text, HEADING) for a, text in ((20.0, "Same"), (40.0, "same"))]
    assert by_slides(shots, [], 0.0, 60.0, 12) == [0.0, 20.0, 40.0, 60.0]
    assert by_slides(shots, headings, 0.0, 60.0, 12) == [0.0, 20.0, 60.0]
    assert len(by_slides(shots, [], 0.0, 60.0, 2)) == 3
    assert by_slides([Shot(a, a + 20, 0.6, ("red",)) for a in (0.0, 20.0, 40.0)], [], 0.0, 60.0, 12) == []


def test_many_shots_become_few_chapters() -> None:
    """Hundreds of cuts are joined until no more than the number asked for are left, without gaps."""
    shots = [Shot(n * 2.0, n * 2.0 + 2, 0.5, ("red",)) for n in range(300)]
    borders = by_shots(shots, 0.0, 600.0, 12)
    assert len(borders) <= 13
    assert borders == sorted(borders)
    assert (borders[0], borders[-1]) == (0.0, 600.0)


def test_sentences_belong_to_the_piece_that_holds_most_of_them() -> None:
    """A sentence that crosses a border goes where its middle is, and none is lost."""
    found = sentences(cues("One.", "Two.", "Three.", each=4.0))
    pieces = nearest(found, [0.0, 5.0, 12.0])
    assert [[s.text for s in piece] for piece in pieces] == [["One."], ["Two.", "Three."]]


@pytest.mark.parametrize(
    ("text", "noun", "count"),
    [
        ("in two sentences", "sentence", Count(2, 2)),
        ("at most 6 sentences", "sentence", Count(0, 6)),
        ("1–2 sentence description", "sentence", Count(1, 2)),
        ("up to three short bullet points", "point", Count(0, 3)),
        ("a summary of 2 sentences", "sentence", Count(2, 2)),
        ("in a few sentences", "sentence", Count(3, 3)),
        ("chapter 3 of the book", "sentence", None),
        ("", "sentence", None),
    ],
)
def test_counts_are_understood_in_words_and_figures(text: str, noun: str, count: Count | None) -> None:
    """Numbers count for the noun that follows them."""
    assert find_count(text, (noun,)) == count


def test_lines_about_a_property_are_found_and_stripped() -> None:
    """The part of a prompt about one property is its own lines and no others; a question may have several lines."""
    prompt = (
        "- `title`: short\n- `answer_a`: the answer, as text, to this request about the video: Who?\nAnd why?\n- `b`: x"
    )
    section = about(prompt, "answer_a")
    assert request(section, "answer_a") == "Who?\nAnd why?"
    assert about(prompt, "missing") == ""
    assert about("`topics`, 1 to 5; `summary`, 3 sentences", "summary") == "`summary`, 3 sentences"


def test_property_names_are_understood_in_any_writing() -> None:
    """Camel case, snake case and plurals are the same; unknown names stay unknown."""
    assert parts("videoSummary_v2") == ["video", "summary", "v2"]
    assert (kind_of("videoSummary"), kind_of("Key_Moments"), kind_of("startTime")) == ("summary", "highlights", "start")
    assert (kind_of("answer_title"), kind_of("winner")) == ("answer", "")
