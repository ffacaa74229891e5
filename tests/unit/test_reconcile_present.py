"""The plan and the questions as people see them: ids whole, foreign words tame, money and consequences said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.model import Trouble
from pipeline.ports.inventory import RemoteObject
from pipeline.present.tables import reconcile as tables
from pipeline.present.terminal import rendered
from pipeline.view_json import dumps
from pipeline.views import AnswerStore, Expiring, Leftover, OpenUpload, Reconciled, Reconciliation, Vanished

NOW = 1_800_000_000.0
LONG = "a-film-with-a-very-long-name-indeed-" * 3
ASSET = RemoteObject("asset", "6b030b8d90941076ac0d3777", LONG + ".mp4", "sha256:1", "ready", NOW - 60)
TASK = replace(ASSET, sort="analysis", id="6b030b8ad65056f066863a0c", name="rm-1-0")
EMPTY = Reconciliation("twelvelabs/v1.3", NOW, {}, [], [], [], [], [])
FULL = Reconciliation(
    account="twelvelabs/v1.3",
    at=NOW,
    counts={"analysis": {"kept": 1200, "cancelled": 1}, "asset": {"kept": 3, "foreign": 1, "superseded": 1}},
    orphans=[Leftover("cancelled", TASK, "k/q", "/films/" + LONG + "/bees.mp4"), Leftover("superseded", ASSET, "k", "")],
    strays=[Leftover("stray", replace(ASSET, id="6b030b8a90032ea3735ee970"))],
    vanished=[
        Vanished("k1", "6b0000000000000000000001", "bees.mp4", "file", 20_000_000, 60.0, 0.042),
        Vanished("k2", "6b0000000000000000000002", "owls.mp4", "none"),
    ],
    expiring=[Expiring("answer", "6b0000000000000000000003", "owls.mp4", NOW + 86_400)],
    sessions=[OpenUpload("u_1", "left behind", "owls.mp4", 10_000_000, NOW + 3_600)],
    stores=[
        AnswerStore("6b0000000000000000000004", NOW - 86_400, 1_200, 3, used=True),
        AnswerStore("6b0000000000000000000005", 0.0, 0, 0, used=False),
    ],
    left_out=7,
    not_found=["nobody"],
)  # fmt: skip
IDS = [each.holding.id for each in (*FULL.orphans, *FULL.strays)] + [each.media_id for each in FULL.vanished]
IDS += [each.id for each in FULL.stores]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("strays", [False, True])
def test_every_id_is_shown_whole(width: int, strays: bool) -> None:
    """Nobody can agree to half an id: on a narrow terminal names break, ids do not."""
    lines = rendered(tables.reconcile_table(FULL, strays=strays), width=width).splitlines()
    for each in IDS:
        assert any(each in line for line in lines), (each, lines)


def test_a_plan_says_what_would_happen() -> None:
    """Counts, reasons, what each loss costs, what is left for another time, and that nothing has happened yet."""
    text = rendered(tables.reconcile_table(FULL), width=200)
    for words in (
        "1,201 analyses (1,200 kept, 1 cancelled)", "5 assets (3 kept, 1 foreign, 1 superseded)", "to be deleted (2)",
        "-name-indeed-/bees.mp4", "left alone (1)", "--strays deletes these as well", "vanished (2)",
            "upload the file again, $0.042",
        "its file is gone, too", "2027-01-16T08:00:00Z (in 1 d 0 h)", "left behind", "7 more beyond the limit",
        "an older one is asked", "knowledge stores of `ask`",
        "nothing to do about nobody", "nothing is changed yet",
    ):  # fmt: skip
        assert words in text, words
    assert "to be deleted (3)" in rendered(tables.reconcile_table(FULL, strays=True), width=200)
    assert "nothing is changed yet" not in rendered(tables.reconcile_table(FULL, applied=True), width=200)
    assert rendered(tables.reconcile_table(EMPTY)).endswith("nothing to do: the database and the account agree")
    only_lost = replace(EMPTY, vanished=FULL.vanished[1:])
    assert "agree" not in rendered(tables.reconcile_table(only_lost))


def test_names_from_the_account_are_tame() -> None:
    """A file name there may hold anything: no escape, no line of its own, no direction override reaches the terminal."""
    evil = "a\x1b[31m\u202e\nb\x07.mp4"
    plan = replace(FULL, orphans=[Leftover("superseded", replace(ASSET, name=evil, id=evil), "k", evil)])
    done = Reconciled(plan, refused=[(plan.orphans[0].holding, Trouble("conflict", evil))])
    for text in (rendered(tables.reconcile_table(plan), width=120), tables.outcome(done)):
        assert not {"\x1b", "\u202e", "\x07"} & set(text)
    assert "\x1b" not in dumps(done)


def test_questions_name_the_consequences() -> None:
    """How many of what, for good; that a cancelled answer would be paid for again; what indexing again costs."""
    asked = tables.question(FULL, FULL.orphans)
    assert asked.startswith("delete 1 analysis, 1 asset at twelvelabs/v1.3? This cannot be undone.")
    assert "asks, and pays, again" in asked
    assert "pays" not in tables.question(FULL, FULL.orphans[1:])
    assert "about $0.042" in tables.repair_question(FULL.repairable)
    free = tables.repair_question([replace(FULL.repairable[0], usd=0.0)])
    assert "1 vanished video again (20 MB)? Nothing that has a result is asked again." in free
    assert all(text.endswith("[y/N]") for text in (asked, free))


def test_an_outcome_counts_everything() -> None:
    """What went, what was gone, what had changed, what was refused and why, what is uploaded again."""
    trouble = Trouble("conflict", "the platform's state does not allow this now")
    done = Reconciled(FULL, [ASSET, ASSET], [ASSET], [TASK], [(TASK, trouble)], FULL.vanished[:1])
    text = tables.outcome(done)
    assert text.splitlines() == [
        "deleted 2 assets · 1 already gone · 1 video to be uploaded again by the next run"
        " · 1 changed since the plan and left alone · 1 refused by the platform",
        "  analysis 6b030b8ad65056f066863a0c: the platform's state does not allow this now",
    ]
    assert tables.outcome(Reconciled(EMPTY)) == "deleted nothing"
    assert (done.clean, Reconciled(FULL, [ASSET]).clean) == (False, True)


def test_a_plan_as_data_names_its_fields() -> None:
    """Times as RFC 3339, refusals as objects, ids where a script finds them."""
    done: Any = json.loads(dumps(Reconciled(FULL, refused=[(TASK, Trouble("conflict", "no"))])))
    assert [each["holding"]["id"] for each in done["plan"]["orphans"]] == IDS[:2]
    assert done["plan"]["orphans"][0]["holding"]["created"] == "2027-01-15T07:59:00Z"
    assert done["plan"]["sessions"][0]["until"] == "2027-01-15T09:00:00Z"
    assert done["refused"][0]["trouble"]["code"] == "conflict"
