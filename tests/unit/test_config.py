"""Settings: which layer wins, what is refused, and whether the message lets one find the place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.config.settings import Settings, load
from pipeline.core.errors import ConfigError
from pipeline.core.youtube_address import parse_youtube_address


def write(folder: Path, text: str) -> Path:
    """Put a configuration file there."""
    path = folder / "reelmill.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(
    path: Path | None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> tuple[str, str]:
    """Return message and remedy of the refusal, with the folder taken out."""
    with pytest.raises(ConfigError) as refused:
        load(path, env=env or {}, flags=flags)
    folder = str(path.parent) + "/" if path is not None else "\0"
    return str(refused.value).replace(folder, ""), refused.value.trouble.remedy


def test_without_anything_the_defaults_hold() -> None:
    """No file, no environment, no flags: usable, and on the local platform."""
    settings = load(None, env={})
    assert settings == Settings()
    assert settings.provider_kind == "local"


def test_flags_go_before_the_environment_before_the_file(tmp_path: Path) -> None:
    """Each layer covers only the keys that it names."""
    path = write(tmp_path, '[provider]\nmodel = "file"\ntimeout = 1\nconnections = 1\nin_hand = 1\n')
    env = {"REELMILL_PROVIDER__MODEL": "env", "REELMILL_PROVIDER__TIMEOUT": "2", "REELMILL_PROVIDER__CONNECTIONS": "2"}
    provider = load(path, env=env, flags={"provider": {"model": "flag", "timeout": 3}}).provider
    assert (provider.model, provider.timeout, provider.connections, provider.in_hand) == ("flag", 3, 2, 1)


def test_relative_paths_in_the_file_count_from_its_folder(tmp_path: Path) -> None:
    """Cron may start anywhere; URLs, stdin and absolute paths stay as they are."""
    manifests = '["a.csv", "-", "https://h/v.mp4", "/abs/b.txt"]'
    text = f'[run]\nstate = "s"\noutput = "/abs/o"\nmanifests = {manifests}\n[platform]\nstate = "p"\n'
    path = write(tmp_path, text)
    settings = load(path, env={})
    assert (settings.run.state, settings.run.output, settings.platform.state) == (
        tmp_path / "s",
        Path("/abs/o"),
        tmp_path / "p",
    )
    assert settings.run.manifests == (str(tmp_path / "a.csv"), "-", "https://h/v.mp4", "/abs/b.txt")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("models/mini", "{folder}/models/mini"),
        ("/abs/mini", "/abs/mini"),
        ("~/mini", "{home}/mini"),
        ("auto", "auto"),
        ("none", "none"),
    ],
)
def test_a_sentence_model_is_a_folder_beside_the_file_or_a_word(tmp_path: Path, given: str, meant: str) -> None:
    """What names no folder stays a word."""
    settings = load(write(tmp_path, f'[platform]\nmeaning = "{given}"\n'), env={})
    assert settings.platform.meaning == meant.format(folder=tmp_path, home=Path.home())


def test_youtube_in_any_form_is_no_path_of_the_file(tmp_path: Path) -> None:
    """What the command line takes for YouTube, the file may name as well; a file that is called like an id is a file."""
    forms = ["youtu.be/dQw4w9WgXcQ", "//www.youtube.com/@x", "YouTube.com/playlist?list=PL0123456789ab", "dQw4w9WgXcQ"]
    assert all(parse_youtube_address(form) is not None for form in forms)
    text = f"[run]\nmanifests = {[*forms, 'myyoutube.com/a', 'named_as_id']}\n"
    (tmp_path / "named_as_id").touch()
    settings = load(write(tmp_path, text), env={})
    assert settings.run.manifests == (*forms, str(tmp_path / "myyoutube.com/a"), str(tmp_path / "named_as_id"))


def test_the_home_of_somebody_unknown_is_a_path_that_is_not_there(tmp_path: Path) -> None:
    """It stays as written, as in a shell, and is told by whoever looks for it."""
    text = '[run]\nstate = "~nobody-here/s"\nmanifests = ["~nobody-here/a.csv"]\n'
    run = load(write(tmp_path, text), env={}).run
    assert (run.state, run.manifests) == (tmp_path / "~nobody-here/s", (str(tmp_path / "~nobody-here/a.csv"),))
    assert refusal(None, {"TWELVELABS_API_KEY_FILE": "~nobody-here/key"})[0].startswith("~nobody-here/key: ")


def test_paths_from_flags_and_environment_stay_as_typed(tmp_path: Path) -> None:
    """They count from where the command is given."""
    settings = load(write(tmp_path, ""), env={"REELMILL_RUN__STATE": "s"}, flags={"run": {"output": Path("o")}})
    assert (settings.run.state, settings.run.output) == (Path("s"), Path("o"))


def test_tables_of_jobs_become_their_settings(tmp_path: Path) -> None:
    """``[jobs.<name>]`` takes any name; the job itself checks the parameters."""
    path = write(tmp_path, '[jobs]\nenabled = ["sponsors"]\n[jobs.sponsors]\njob = "ask"\nprompt = "Who?"\n')
    jobs = load(path, env={}).jobs
    assert jobs.enabled == ("sponsors",)
    assert jobs.settings == {"sponsors": {"job": "ask", "prompt": "Who?"}}


def test_the_environment_reaches_lists_and_nested_tables() -> None:
    """Lists are separated by commas; limits are one table deeper; foreign and unstructured names are left alone."""
    env = {
        "REELMILL_JOBS__ENABLED": "gist, ask", "REELMILL_LIMITS__ANALYZE__REQUESTS_PER_MINUTE": "30", "REELMILL_CONFIG": "x",
        "REELMILL_RUN__STRICT": "true", "PATH": "/bin", "REELMILL_INDEX__ADDONS": "thumbnail", "REELMILL_RUN__MANIFESTS": "",
    }  # fmt: skip
    settings = load(None, env=env)
    assert (settings.index.addons, settings.run.manifests) == (("thumbnail",), ())
    assert settings.jobs.enabled == ("gist", "ask")
    assert settings.limits.analyze.requests_per_minute == 30
    assert settings.limits.read.requests_per_minute == 120
    assert settings.run.strict is True


def test_endings_are_meant_however_they_are_written() -> None:
    """With a dot or in capitals they would fit no file, and every folder would be empty."""
    assert load(None, env={"REELMILL_SOURCE__EXTENSIONS": ".MP4, mov"}).source.extensions == ("mp4", "mov")


def test_a_byte_order_mark_is_no_syntax_error(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[run]\nstrict = true\n")
    assert load(tmp_path / "c.toml", env={}).run.strict


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("[run]\n\noutptu = 'x'\n", "reelmill.toml, line 3: [run] outptu: unknown key", "did you mean 'output'?"),
        ("[rnu]\nx = 1\n", "reelmill.toml, line 1: [rnu]: unknown key", "did you mean 'run'?"),
        ("wibble = 1\n", "reelmill.toml, line 1: [wibble]: unknown key", "config.example.toml lists every key"),
        (
            "[jobs]\nsettings = 3\n",
            "reelmill.toml, line 1: [jobs]: should be a table of keys and values",
            "config.example.toml explains every key",
        ),
        ("manifests = []\n", "reelmill.toml, line 1: [manifests]: unknown key", "it belongs under [run]"),
        (
            "[lanes]\nfetch = 'many'\n",
            "reelmill.toml, line 2: [lanes] fetch: should be a whole number",
            "config.example.toml explains every key",
        ),
        (
            "[lanes]\nfetch = 0\npoll = 0\n",
            "reelmill.toml, line 2: [lanes] fetch: should be at least 1 (and 1 more)",
            "config.example.toml explains every key",
        ),
        (
            "[provider]\nkind = 'cloud'\n",
            "reelmill.toml, line 2: [provider] kind: should be 'auto', 'local' or 'twelvelabs'",
            "config.example.toml explains every key",
        ),
        (
            "[provider]\nbase_url = 'api.example.org'\n",
            "reelmill.toml, line 2: [provider] base_url: must start with https:// (or http:// on this machine)",
            "config.example.toml explains every key",
        ),
        (
            "[run]\nmanifests = 'a.csv'\n",
            'reelmill.toml, line 2: [run] manifests: should be a list, like ["a", "b"]',
            'write manifests = ["a.csv"]',
        ),
        (
            "[run]\nmanifests = ['a', 1]\n",
            "reelmill.toml, line 2: [run] manifests: should be text in quotes",
            "config.example.toml explains every key",
        ),
        (
            "[prices]\nresponse_input_million_tokens = 2.0\n",
            "reelmill.toml, line 1: [prices]: response_input_million_tokens and response_output_million_tokens go together: "
            "set both",
            "config.example.toml explains every key",
        ),
        (
            "[jobs]\ngist = 5\n",
            "reelmill.toml, line 2: [jobs] gist: unknown key",
            "config.example.toml lists every key",
        ),
        ("run = 5\n", None, None),
    ],
)
def test_wrong_keys_and_values_are_found_by_file_line_and_key(
    tmp_path: Path, text: str, message: str | None, remedy: str | None
) -> None:
    """One sentence that names the place, and what to do; also for a section that is no table."""
    found, cure = refusal(write(tmp_path, text))
    assert found == message if message else found.startswith("reelmill.toml, line 1: [run]: ")
    assert cure == remedy if remedy else cure


def test_the_line_is_the_one_in_the_right_table(tmp_path: Path) -> None:
    """The same key in another table, in a comment or in a dotted form does not mislead."""
    text = '# state = 1\n[platform]\nstate = "p"\n[run]\n# state = 2\nstate = 5\n'
    assert refusal(write(tmp_path, text))[0].startswith("reelmill.toml, line 6: [run] state: ")
    assert refusal(write(tmp_path, '[log]\nlevel = "info"\n[limits]\nread.requests_per_day = "x"\n'))[0].startswith(
        "reelmill.toml, line 4: [limits.read] requests_per_day: "
    )
    assert refusal(write(tmp_path, "[limits]\nread = { requests_per_day = 'x' }\n"))[0].startswith(
        "reelmill.toml, line 2: "
    )


def test_a_list_of_jobs_that_is_empty_by_a_slip_is_refused(tmp_path: Path) -> None:
    """``--jobs ""`` or a variable without words would end "done" with nothing asked; a file may say that it wants nothing."""
    nothing = "[jobs] enabled (--jobs) names no job"
    assert refusal(None, {"REELMILL_JOBS__ENABLED": ""})[0] == f"environment variable REELMILL_JOBS__ENABLED: {nothing}"
    assert refusal(None, {}, {"jobs": {"enabled": []}})[0] == f"command line: {nothing}"
    assert load(write(tmp_path, "[jobs]\nenabled = []"), env={}).jobs.enabled == ()


def test_the_layer_at_fault_is_named() -> None:
    """A wrong variable is not blamed on the file, a wrong flag on neither."""
    env = {"REELMILL_LANES__FETCH": "x"}
    assert refusal(None, env)[0].startswith("environment variable REELMILL_LANES__FETCH: [lanes] fetch: ")
    assert refusal(None, env, {"lanes": {"fetch": -1}})[0].startswith("command line: [lanes] fetch: ")
    assert refusal(None, {"REELMILL_RUM__X": "1"}) == (
        "environment variable REELMILL_RUM: [rum]: unknown key", "did you mean 'run'?",
    )  # fmt: skip


def test_variables_that_contradict_each_other_do_no_harm() -> None:
    """A table and a plain value under one name, in whichever order: refused or overruled, never a crash."""
    value, table = ("REELMILL_LIMITS__READ", "5"), ("REELMILL_LIMITS__READ__REQUESTS_PER_DAY", "5")
    assert load(None, env=dict([value, table])).limits.read.requests_per_day == 5
    assert refusal(None, dict([table, value]))[0].startswith("environment variable REELMILL_LIMITS__READ: ")


def test_broken_toml_is_found_by_line(tmp_path: Path) -> None:
    """The parser's position is part of the place."""
    message, remedy = refusal(write(tmp_path, "[run]\noutput = results\n"))
    assert message.startswith("reelmill.toml, line 2: not valid TOML: ")
    assert "quotes" in remedy
    assert refusal(write(tmp_path, '[run]\noutput = "a'))[0].startswith("reelmill.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or not text at all."""
    assert refusal(tmp_path / "no.toml")[0] == "no.toml: no such configuration file"
    (tmp_path / "d").mkdir()
    assert refusal(tmp_path / "d")[0] == "d: cannot be read: Is a directory"
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    assert refusal(tmp_path / "b.toml")[0] == "b.toml: cannot be read: not UTF-8 text"


@pytest.mark.parametrize(
    "text", ['api_key = "tlk_s3"\n', '[provider]\napi_key = "tlk_s3"\n', '[run]\napi_key = "tlk_s3"\n']
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    """Files are copied and committed; keys must not be."""
    message, remedy = refusal(write(tmp_path, text))
    assert message.startswith("reelmill.toml, line ")
    assert "does not belong" in message
    assert "TWELVELABS_API_KEY" in remedy
    assert "tlk_s3" not in message + remedy


def test_a_key_in_a_settings_variable_is_refused_by_its_name() -> None:
    """There is one variable for the key, and it is named."""
    message, _ = refusal(None, {"REELMILL_PROVIDER__API_KEY": "tlk_s3"})
    assert message.startswith("environment variable REELMILL_PROVIDER__API_KEY: ")
    assert "tlk_s3" not in message


def test_a_wrong_value_is_not_repeated(tmp_path: Path) -> None:
    """Whoever pastes the key into the wrong place does not find it in the log."""
    message, remedy = refusal(write(tmp_path, '[provider]\nbase_url = "tlk_s3"\ntimeout = "tlk_s3"\n'))
    assert "tlk_s3" not in message + remedy


def test_the_key_comes_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    """The variable goes before the file that a variable names, that before the file that the configuration names."""
    (tmp_path / "a").write_text(" tlk_a \n")
    (tmp_path / "b").write_text("tlk_b")
    path = write(tmp_path, '[provider]\nkey_file = "a"\n')

    def key(**env: str) -> str:
        settings = load(path, env=env)
        assert settings.provider_kind == "twelvelabs"
        assert settings.api_key is not None
        return settings.api_key.get_secret_value()

    assert key() == "tlk_a"
    assert key(TWELVELABS_API_KEY_FILE=str(tmp_path / "b")) == "tlk_b"
    assert key(TWELVELABS_API_KEY_FILE=str(tmp_path / "b"), TWELVELABS_API_KEY="tlk_c") == "tlk_c"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), (b"", "on one line"), (b"a\nb", "on one line"), (b"\xff", "cannot")]
)
def test_a_useless_key_file_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """Named by its path, never by its content."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    message, _ = refusal(None, {"TWELVELABS_API_KEY_FILE": str(tmp_path / "key")})
    assert str(tmp_path / "key") in message
    assert said in message


def test_settings_show_no_key_and_do_not_change() -> None:
    """Neither repr nor dump holds the key, and nothing can be set afterwards."""
    settings = load(None, env={"TWELVELABS_API_KEY": "tlk_s3"})
    assert "tlk_s3" not in repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
    with pytest.raises(ValidationError):
        settings.run = settings.run


def test_queries_are_tables_told_apart_by_name(tmp_path: Path) -> None:
    """One word stands for a list of one; pictures count from the file's folder, addresses stay."""
    text = '[[queries]]\nname = "a"\ntext = "x"\noptions = "audio"\n[[queries]]\nname = "b"\nimages = ["q.png", "https://h/i.png"]\n'
    first, second = load(write(tmp_path, text), env={}).queries
    assert (first.name, first.options, first.limit, first.group_by) == ("a", ("audio",), 50, "clip")
    assert second.images == (str(tmp_path / "q.png"), "https://h/i.png")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('name = "A b"\ntext = "x"', "line 5: [queries] name: has characters or a form"),
        ('text = "x"', "line 4: [queries] name: is missing"),
        ('name = "b"', "line 4: [queries]: asks nothing"),
        ('name = "a"\ntext = "x"', "[queries]: two queries are called 'a'"),
        ('name = "b"\ntext = "x"\nlimit = 0', "line 7: [queries] limit: should be at least 1"),
        ('name = "b"\ntext = "x"\nthreshold = 7', "line 4: [queries]: threshold should be"),
        ('name = "b"\nclasses = { A = "x" }\nthreshold = "high"', "line 4: [queries]: threshold should be"),
        ('name = "b"\nclasses = { A = "x" }\nthreshold = { max = 1 }', "line 4: [queries]: threshold should be"),
        ('name = "b"\nclasses = { A = [] }', "line 4: [queries]: has a class without a prompt"),
        ('name = "b"\nclasses = { A = "x" }\ntext = "x"', "line 4: [queries]: has classes beside text"),
        ('name = "b"\nquestion = "x"', "line 6: [queries] question: unknown key"),
    ],
)
def test_a_wrong_query_is_found_by_its_own_table(tmp_path: Path, lines: str, said: str) -> None:
    """The line is in the table at fault, not in the first one of that kind."""
    path = write(tmp_path, f'[[queries]]\nname = "a"\ntext = "x"\n[[queries]]\n{lines}\n')
    message, _ = refusal(path)
    assert said in message


@pytest.mark.parametrize("threshold", ["75", "{ min_video_score = 80, min_duration_ratio = 0.5 }"])
def test_a_classification_takes_both_shapes_of_threshold(tmp_path: Path, threshold: str) -> None:
    """A number as the late v1.2 had it, a table as the early one."""
    path = write(
        tmp_path, f'[[queries]]\nname = "a"\nclasses = {{ A = "x", B = ["y", "z"] }}\nthreshold = {threshold}\n'
    )
    (query,) = load(path, env={}).queries
    assert query.classes == {"A": ("x",), "B": ("y", "z")}


def test_no_wrong_value_is_told_in_the_words_of_a_library() -> None:
    """Every key of every section, given what it does not take: the sentence is ours."""
    foreign = (
        "Input",
        "Value error",
        "valid ",
        "unable to",
        "dictionary",
        "tuple",
        "instance",
        "String ",
        "validation",
    )
    for section, info in Settings.model_fields.items():
        model = info.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        for key in model.model_fields:
            for value in ("\0\0", -(10**9), 10**9, [7, {}], {"a": {"b": []}}, [], "", True):
                try:
                    load(None, env={}, flags={section: {key: value}})
                except ConfigError as error:
                    said = f"{error.trouble.message} {error.trouble.remedy}".partition(": [")[2]
                    assert not any(word in said for word in foreign), (section, key, value, said)
