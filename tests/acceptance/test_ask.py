"""One question across many videos, as a command: the embedded platform, real files; and one that dies in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import command, customer, serving, until
from tests.support.media import clips, subject

pytestmark = pytest.mark.slow

QUESTION = f"How long have people watched {subject(1)}?"


def test_from_two_films_to_the_moment(tmp_path: Path) -> None:
    """The answer stands in the captions, and its moment in the right video; a repeat is shown without another call."""
    here = tmp_path
    films = clips(here / "films", 2)
    assert command(here, "ask", QUESTION).code == 2  # nothing has been run here yet
    ran = command(here, "run", *map(str, films), "--jobs", "gist")
    assert ran.code == 0, ran.err

    asked = command(here, "ask", QUESTION, "--json")
    assert asked.code == 0, asked.err
    found = asked.json
    moment = found["moments"][0]
    assert (found["videos"], found["checked"], found["kept"], found["usd"]) == (2, True, False, 0.0)
    assert moment["quote"] == f"People have watched {subject(1)} for 101 years."
    assert (moment["video"]["source"], round(moment["start"])) == (str(films[1]), 2)
    assert (here / moment["video"]["link"]).is_file()

    shown = command(here, "ask", QUESTION)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("2 videos asked on local/v1.3")
    assert "kept since" in shown.out
    assert shown.out.splitlines()[-1].startswith("out/")
    kinds = command(here, "costs", "--by", "kind", "--json").json["groups"]
    assert [(each["name"], each["calls"]) for each in kinds] == [("analyze", 2), ("ask", 1)]

    (store,) = command(here, "reconcile", "--json").json["plan"]["stores"]
    assert (store["videos"], store["failed"], store["used"]) == (2, 0, True)
    nothing = command(here, "ask", "Is there a zeppelin?", "--in", "clip-00", "--json").json
    assert (nothing["videos"], nothing["moments"]) == (1, [])
    assert nothing["answer"].startswith("Nothing in these videos (1) speaks of zeppelin.")
    for words, said in ((("",), "say what you want to know"), (("Why?", "--tag", "none"), "no video that fits")):
        refused = command(here, "ask", *words)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    (here / "reelmill.toml").write_text('[provider]\napi = "v1.2"\n', encoding="utf-8")
    old = command(here, "ask", "Why?")
    assert (old.code, "does not answer questions across videos" in old.err) == (2, True)


def test_a_question_that_was_killed_is_told_before_it_is_asked_again(tmp_path: Path) -> None:
    """SIGKILL while the vendor thinks: nobody can tell whether it was paid, so only a person asks again."""
    with serving(tmp_path / "vendor") as vendor:
        prices = {"response_input_million_tokens": 2.0, "response_output_million_tokens": 10.0}
        here = customer(tmp_path / "here", vendor, "twelvelabs", provider={"poll_spacing": 0.2}, prices=prices)
        clips(here.folder / "films", 2)
        assert here.run("run", "films", "--jobs", "gist").code == 0
        vendor.spoil({"match": "POST /v1.3/responses", "do": "latency", "seconds": 600})
        asking = here.start("ask", QUESTION)
        until(lambda: vendor.requests().get("POST /v1.3/responses"), "the question to be sent")
        asking.kill()
        vendor.spoil()

        again = here.run("ask", QUESTION)
        assert (again.code, again.out) == (2, "")
        assert "may have been paid" in again.err
        bought = here.run("ask", QUESTION, "--again", "--json")
        assert bought.code == 0, bought.err
        assert bought.json["usd"] > 0
        (asked,) = [
            each for each in here.run("costs", "--by", "kind", "--json").json["groups"] if each["name"] == "ask"
        ]
        assert (asked["calls"], asked["doubtful"], asked["settled"]) == (2, 1, 1)
        assert asked["usd"] == pytest.approx(bought.json["usd"])
        assert asked["doubtful_usd"] == pytest.approx(0.6)
        effects = [each["effect"] for each in vendor.entries()]
        assert (effects.count("response"), effects.count("knowledge_item_created")) == (1, 2)
