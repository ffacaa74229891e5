"""A run whose answers a model of the user's own writes: real films, real HTTP, the command line as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Terminal
from tests.support.media import clip
from tests.support.model_server import ModelServer, Reply

KEY = "sk-0123456789abcdef"


def test_a_run_that_a_model_writes(tmp_path: Path) -> None:
    """Told before, paid by the prices, quoted where it fails; the key is in no file. Without it the same run is free."""
    here = Terminal(tmp_path / "here")
    clip(here.folder / "a.mp4", number=1)
    clip(here.folder / "b.mp4", number=2)
    with ModelServer(models=["writer:latest"]) as server:
        (here.folder / "reelmill.toml").write_text(
            '[provider]\nkind = "local"\n[jobs]\nenabled = ["gist", "summary", "chapters", "highlights"]\n'
            f'[platform.model]\nbase_url = "{server.base}"\nname = "writer"\nkey_env = "WRITER_KEY"\n'
            "input_million_tokens = 100.0\noutput_million_tokens = 1000.0\n",
            encoding="utf-8",
        )
        env = {"WRITER_KEY": KEY}
        assert here.run("plan", "a.mp4").code == 2  # its key is not there
        found = {finding["name"]: finding for finding in here.run("doctor", "--json", env=env).json}
        assert (found["model"]["state"], found["model"]["value"]) == ("ok", f"writer at {server.base[7:-3]}")
        plan = here.run("plan", "a.mp4", "--json", env=env).json
        assert "the model writer at 127.0.0.1 gets captions, on-screen text and pictures" in plan["price_notes"][0]
        assert plan["usd"] > 0
        ended = here.run("run", "a.mp4", "--json", env=env)
        assert (ended.code, ended.json["items"]["done"]) == (0, 1), ended.err
        (asked,) = server.asked
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert '"sentence"' in asked.text
        assert asked.pictures > 0
        (raw,) = (json.loads(path.read_bytes()) for path in here.folder.glob("out/*/raw/*.json"))
        assert raw["result"]["written_by"] == "writer"
        assert {part["model"] for part in plan["parts"]} == {"writer"}
        (record,) = (json.loads(path.read_bytes()) for path in here.folder.glob("out/*/video.json"))
        assert {each["model"] for each in record["results"].values()} == {"writer"}
        assert raw["result"]["usage"] == {"input_tokens": 1200, "output_tokens": 80}
        assert ended.json["usd"] == pytest.approx(80 / 1000 + 1500 * 100e-6 * ended.json["minutes"], rel=0.05)
        server.script([Reply(b"", 401)] * 9)
        ended = here.run("run", "b.mp4", "--json", env=env)
        assert (ended.code, ended.json["items"]["done"]) == (0, 2), ended.err
        assert ended.json["usd"] == pytest.approx(1500 * 100e-6 * ended.json["minutes"], rel=0.05)  # it wrote nothing
        records = [json.loads(path.read_bytes())["results"].values() for path in here.folder.glob("out/*/video.json")]
        noted = [note for each in records for result in each for note in result["notes"] if "not used" in note]
        assert len(noted) == 4  # of each result of the second film
        assert "was not used: it refuses the key" in noted[0]
        assert [event["why"] for event in ended.events if event["event"] == "model.not_used"] == ["it refuses the key"]
    assert not [path for path in here.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in ended.err
