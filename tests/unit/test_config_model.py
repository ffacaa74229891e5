"""``[platform.model]``: what may be configured, where its key comes from, who is told, and what it costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.app.wiring.platform import model_endpoint
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings, load
from pipeline.core import log
from pipeline.core.errors import ConfigError
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ports.source import Item, ManifestLine
from pipeline.watch.child import without_secrets

OURS = 'base_url = "http://127.0.0.1:11434/v1"\nname = "writer"\n'
THEIRS = 'base_url = "https://api.example.com/v1/"\nname = "writer"\nkey_env = "WRITER_KEY"\n'
PRICED = "input_million_tokens = 2.0\noutput_million_tokens = 10.0\n"
ENV = {"WRITER_KEY": "sk-0123456789abcdef"}


def loaded(folder: Path, table: str, env: dict[str, str] | None = None) -> Settings:
    """Load a file with this table."""
    path = folder / "reelmill.toml"
    path.write_text(f'[provider]\nkind = "local"\n[platform.model]\n{table}', encoding="utf-8")
    return load(path, env=ENV if env is None else env)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('base_url = "http://127.0.0.1/v1"\n', "go together"),
        ('name = "writer"\n', "go together"),
        ('base_url = "ftp://x/v1"\nname = "writer"\n', "must be an address"),
        ('base_url = "https://me:secret@x.example/v1"\nname = "writer"\n', "belongs into a variable"),
        ('base_url = "https://x.example/v1?key=secret"\nname = "writer"\n', "belongs into a variable"),
        ('base_url = "http://x.example/v1"\nname = "writer"\nkey_env = "WRITER_KEY"\n', "plain HTTP"),
        (f'{OURS}key_env = "sk-0123-secret"\n', "name of an environment variable"),
        (f"{OURS}input_million_tokens = 1.0\n", "go together"),
        (f"{OURS}colour = 1\n", "unknown key"),
        (f'{OURS}key_env = "NOBODY_SET_IT"\n', "NOBODY_SET_IT is not set"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, table: str, said: str) -> None:
    """The message names the key; no part of a secret that stands in the file is repeated."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, table)
    told = f"{caught.value.trouble.message} {caught.value.trouble.remedy}"
    assert said in told
    assert "platform" in told
    assert "secret" not in told


def test_without_the_table_there_is_no_model(tmp_path: Path) -> None:
    """No endpoint, no note, no price; a variable that nobody named is not read."""
    settings = loaded(tmp_path, "")
    assert (model_endpoint(settings), settings.model_key) == (None, None)
    plan = make_run_plan(settings)
    assert plan.price_notes == []
    assert plan.prices.analysis(3600, 4000, "pegasus1.5") == 0.0


def test_a_model_on_this_machine_costs_nothing_and_needs_no_word(tmp_path: Path) -> None:
    """Ollama beside us: no note; but another model makes other results, so it is a part of their fingerprint."""
    plan = make_run_plan(loaded(tmp_path, OURS))
    endpoint = model_endpoint(plan.settings)
    assert endpoint is not None
    assert (endpoint.base_url, endpoint.key, endpoint.host) == ("http://127.0.0.1:11434/v1", "", "127.0.0.1:11434")
    assert (plan.price_notes, plan.prices.free) == ([], True)
    line = unsaved_task(Item("file:/a.mp4", "file", "/a.mp4", ManifestLine("/a.mp4")))
    without = make_run_plan(loaded(tmp_path, ""))
    ours, plain = ({each.fingerprint for each in it.planner.requests([line])} for it in (plan, without))
    assert ours.isdisjoint(plain)


def test_who_pays_is_told_before(tmp_path: Path) -> None:
    """A model in the world outside: who gets what of each video; its price counts where there is one."""
    unpriced, priced = (make_run_plan(loaded(tmp_path, THEIRS + more)) for more in ("", PRICED))
    (note,) = unpriced.price_notes
    assert "the model writer at api.example.com gets captions, on-screen text and pictures of each video" in note
    assert "may bill them" in note
    assert unpriced.prices.free
    assert "its tokens are in this price" in priced.price_notes[0]
    assert priced.prices.analysis(3600, 4000, "pegasus1.5") == pytest.approx(60 * 1500 * 2e-6 + 4000 * 10e-6)
    assert priced.prices.indexing(60) == pytest.approx(60 * (6000 * 2e-6 + 600 * 10e-6))  # it looks at every shot
    assert (priced.prices.query(), priced.prices.response(9, 9)) == (0.0, 0.0)
    blind = make_run_plan(loaded(tmp_path, f"{THEIRS}{PRICED}images = false\n"))
    assert blind.prices.indexing(60) == 0.0
    assert "gets captions and on-screen text of each video" in blind.price_notes[0]


def test_the_key_is_in_no_text_and_no_other_program(tmp_path: Path) -> None:
    """It comes from the named variable, is shown nowhere, and no child process of ours gets a variable that holds it."""
    settings = loaded(tmp_path, THEIRS)
    assert settings.model_key is not None
    assert settings.model_key.get_secret_value() == ENV["WRITER_KEY"]
    assert ENV["WRITER_KEY"] not in repr(settings) + settings.model_dump_json()
    log.setup("error", "json", [ENV["WRITER_KEY"]])
    try:
        kept = {"PATH": os.defpath, "PROXY": "http://proxy:3128"}
        assert log.without_secrets({"PATH": "/home/abcdef"}) == {"PATH": "/home/abcdef"}
        given = {**kept, **ENV, "COPY": f"Bearer {ENV['WRITER_KEY']}"}
        assert log.without_secrets(given) == kept
        assert without_secrets(given) == kept
    finally:
        log.setup("error", "json", [])
