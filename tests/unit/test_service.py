"""What lets a machine run Reelmill by itself: right in every line, on folders with the oddest names."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import kubernetes_validate
import pytest
import yaml

from pipeline.app.upkeep.service import ServiceKind
from pipeline.core.errors import ConfigError
from pipeline.service.compose import compose_file
from pipeline.service.container import container_file
from pipeline.service.cron import cron_file
from pipeline.service.kubernetes import kubernetes_file
from pipeline.service.systemd import systemd_files, worker_files
from pipeline.service.values import Deployment, ServiceFile
from tests.support.cli import KEY, Ended, command

ODD = "/srv/50% off $HOME's `films` & more; #1"
PLAIN = Deployment(
    name="reelmill-nightly",
    program=["/srv/reelmill/.venv/bin/reelmill"],
    config=Path("/etc/reelmill/nightly.toml"),
    writes=[Path("/srv/state"), Path("/srv/out")],
    missing=[],
    reads=[Path("/srv/films")],
    search="/srv/reelmill/.venv/bin:/usr/bin:/bin",
    hour=3,
    minute=5,
    stop_seconds=90,
    user="films",
    home=Path("/srv"),
    key_file=Path("/etc/reelmill.key"),
    key_there=True,
)
STRANGE = replace(
    PLAIN,
    program=[f"{ODD}/bin/reelmill"],
    config=Path(f"{ODD}/nightly.toml"),
    writes=[Path(f"{ODD}/state"), Path(f"{ODD}/out")],
    reads=[Path(f"{ODD}/films")],
    search=f"{ODD}/bin:/usr/bin",
    key_file=Path(f"{ODD}/key"),
)
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def values(text: str, key: str) -> list[str]:
    """Return the values of a key in a unit."""
    return re.findall(rf"^{key}=(.*)$", text, re.M)


@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
def test_a_service_takes_its_time_to_end_and_knows_what_is_no_failure(user: bool) -> None:
    """The first signal goes to the run alone; 3, 6, 75 and 130 start no alarm."""
    service, timer = systemd_files(PLAIN, user=user)
    assert [service.name, timer.name] == ["reelmill-nightly.service", "reelmill-nightly.timer"]
    assert values(service.content, "SuccessExitStatus") == ["3 6 75 130"]
    assert values(service.content, "KillMode") == ["mixed"]
    assert values(service.content, "TimeoutStopSec") == ["90"]
    assert values(timer.content, "OnCalendar") == ["*-*-* 03:05:00"]
    assert values(service.content, "NoNewPrivileges") == ["yes"]
    assert bool(values(service.content, "ProtectSystem")) is not user
    assert bool(values(service.content, "User")) is not user


def test_the_key_is_named_and_never_written() -> None:
    """The system's manager reads its file; one user's own run reads it itself; without a key there is neither."""
    system, own = (systemd_files(PLAIN, user=user)[0].content for user in (False, True))
    assert values(system, "LoadCredential") == ["twelvelabs:/etc/reelmill.key"]
    assert "TWELVELABS_API_KEY_FILE=%d/twelvelabs" in system
    assert "LoadCredential" not in own
    assert '"TWELVELABS_API_KEY_FILE=/etc/reelmill.key"' in own
    assert "API_KEY" not in systemd_files(replace(PLAIN, key_file=None), user=False)[0].content


def test_odd_folders_mean_themselves_in_a_unit() -> None:
    """Percent signs and dollars are doubled where they would be read, and only there."""
    text = systemd_files(STRANGE, user=False)[0].content
    doubled = ODD.replace("%", "%%")
    assert values(text, "WorkingDirectory") == [doubled]
    (start,) = values(text, "ExecStart")
    behind = doubled.replace("$", "$$")
    assert start == f'"/usr/bin/env" "{behind}/bin/reelmill" "run" "--config" "{behind}/nightly.toml"'
    assert values(text, "ReadWritePaths") == [f'"{doubled}/state" "{doubled}/out"']
    assert values(text, "LoadCredential") == [f"twelvelabs:{doubled}/key"]


def verified(files: Sequence[ServiceFile], folder: Path, *, user: bool) -> tuple[int, str]:
    """Return the exit code of ``systemd-analyze verify`` and all that it says."""
    for file in files:
        (folder / file.name).write_text(file.content)
    ran = subprocess.run(
        ["systemd-analyze", "--user" if user else "--system", "--recursive-errors=no", "verify",
         *(str(folder / file.name) for file in files)],
        capture_output=True, text=True, timeout=60, check=False,
        env={"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


@needs_systemd
@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
@pytest.mark.parametrize("folder", ["plain", "50% off $HOME's films; #1"])
def test_systemd_takes_the_units(tmp_path: Path, folder: str, user: bool) -> None:
    """``systemd-analyze verify`` has not one word to say, whatever the folders are called."""
    home = tmp_path / folder
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "reelmill"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    it = replace(PLAIN, program=[str(program)], config=home / "n.toml", writes=[home], reads=[home], user="root")
    assert verified(systemd_files(it, user=user), tmp_path, user=user) == (0, "")


@needs_systemd
def test_systemd_finds_the_service_well_walled_in(tmp_path: Path) -> None:
    """By systemd's own measure of exposure, from 0 to 10."""
    assert ANALYZE is not None
    path = tmp_path / "reelmill-nightly.service"
    path.write_text(systemd_files(PLAIN, user=False)[0].content)
    ran = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--no-pager", str(path)], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    found = re.search(r"Overall exposure level for [^:]*: ([\d.]+)", ran.stdout)
    assert found is not None, ran.stdout + ran.stderr
    assert float(found[1]) < 3.0


def as_cron_does(line: str) -> str:
    """Return what cron gives to the shell: the rest of the line, where an escaped percent sign is one, and a bare one ends."""
    command = line.split(" ", 5)[5]
    assert re.search(r"(?<!\\)%", command) is None
    return command.replace(r"\%", "%")


@pytest.mark.parametrize("folder", ["plain", "50% off $HOME's `films` & more; #1"])
def test_the_cron_line_runs_without_any_surroundings(tmp_path: Path, folder: str) -> None:
    """In cron's own shell, with nothing in its environment: the right program, folder, words, PATH and key file."""
    home = tmp_path / folder
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "reelmill"
    program.write_text(
        '#!/bin/sh\npwd; echo "$PATH"; echo "$TWELVELABS_API_KEY_FILE"; for w in "$@"; do echo "$w"; done\n'
    )
    program.chmod(0o755)
    it = replace(
        PLAIN, program=[str(program)], config=home / "n.toml", search=f"{home}/bin:/usr/bin:/bin", key_file=home / "key"
    )
    line = cron_file(it).content.splitlines()[-1]
    ran = subprocess.run(
        ["/usr/bin/env", "-i", "/bin/sh", "-c", as_cron_does(line)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        str(home), f"{home}/bin:/usr/bin:/bin", f"{home}/key", "run", "--config", f"{home}/n.toml", "--quiet",
    ]  # fmt: skip
    assert line.startswith("5 3 * * * ")


def test_a_line_that_cron_would_cut_is_refused() -> None:
    """Cut off, it would run something else."""
    with pytest.raises(ConfigError, match="cron takes 990"):
        cron_file(replace(PLAIN, config=Path(f"/srv/{'long/' * 150}n.toml")))


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nend", "\udcff"])
def test_what_no_unit_and_no_crontab_holds_is_refused(name: str) -> None:
    """Rather than escaped in a way that one system reads and another does not."""
    with pytest.raises(ConfigError, match="no unit and no crontab can hold"):
        replace(PLAIN, config=Path(f"/srv/{name}/n.toml"))


def test_a_container_has_what_a_run_wants(tmp_path: Path) -> None:
    """ffmpeg, tesseract and Deno inside; folders, key file and time to stop in the command; what is copied exists."""
    text = container_file(STRANGE, pace="/srv/pace", extras="youtube,notify").content
    commands = "".join(line.removeprefix("#").rstrip("\\") for line in text.splitlines() if line.startswith("#   "))
    words = shlex.split(commands[commands.index("podman run") :])
    assert words[words.index("--stop-timeout") + 1] == "90"
    mounts = [words[at + 1] for at, word in enumerate(words) if word == "--volume"]
    assert mounts == [
        f"{ODD}/state:{ODD}/state", f"{ODD}/out:{ODD}/out", f"{ODD}:{ODD}:ro", f"{ODD}/films:{ODD}/films:ro",
        f"{ODD}/key:/run/secrets/twelvelabs:ro",
    ]  # fmt: skip
    assert words[-3:] == ["run", "--config", f"{ODD}/nightly.toml"]
    assert "REELMILL_YOUTUBE__PACE_FOLDER=/srv/pace" in words
    assert {"ffmpeg", "tesseract-ocr"} <= {*text.split()}
    assert 'pip install --no-cache-dir "/usr/src/reelmill[youtube,notify]"' in text
    root = Path(__file__).parents[2]
    copied = [source for line in text.splitlines() if line.startswith("COPY ") for source in line.split()[1:-1]]
    assert [source for source in copied if not (root / source).exists()] == []
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert "[default,deno]" in project
    with pytest.raises(ConfigError, match="colon"):
        container_file(replace(PLAIN, reads=[Path("/srv/a:b")]), pace="/srv", extras="youtube")


# --------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration for the nights."""
    (tmp_path / "films").mkdir()
    (tmp_path / "nightly.toml").write_text(
        '[run]\nmanifests = ["films/"]\nstop_grace = "2m"\n[watch]\non_end = ["true"]\n[youtube]\npace_folder = "pace"\n'
    )
    return tmp_path


def service(folder: Path, *words: str) -> Ended:
    """Run the command on the configuration."""
    return command(folder, "service", *words, "--config", "nightly.toml")


def test_the_configuration_decides(folder: Path) -> None:
    """Absolute paths, its name, the time that it needs to end, who owns it; what is missing is told with its command."""
    ended = service(folder, "systemd", "--at", "4:30", "--json")
    assert ended.code == 0, ended.err
    unit, timer = (file["content"] for file in ended.json)
    assert [file["name"] for file in ended.json] == ["reelmill-nightly.service", "reelmill-nightly.timer"]
    assert values(unit, "TimeoutStopSec") == ["250"]  # 120 of grace, 2 pings of 5, 60 for on_end, 60 for the page
    assert values(unit, "WorkingDirectory") == [str(folder)]
    real = folder.resolve()
    assert values(unit, "ReadWritePaths") == [f'"{real}/.reelmill" "{real}/out" "{real}/pace"']
    assert values(unit, "RequiresMountsFor")[0].endswith(f'"{real}/films"')
    assert f"install -d -m 0700 -o {values(unit, 'User')[0]} {real}/out" in unit
    assert values(timer, "OnCalendar") == ["*-*-* 04:30:00"]
    shown = service(folder, "systemd")
    assert re.findall(r"^# /etc/systemd/system/(\S+)$", shown.out, re.M) == [
        "reelmill-nightly.service",
        "reelmill-nightly.timer",
    ]


def test_files_are_written_once(folder: Path) -> None:
    """What is there and the same stays; what somebody changed is not replaced."""
    assert service(folder, "cron", "--into", "made").code == 0
    assert service(folder, "cron", "--into", "made").code == 0
    made = folder / "made" / "reelmill-nightly"
    made.write_text(made.read_text() + "# mine\n")
    ended = service(folder, "cron", "--into", "made")
    assert (ended.code, ended.out) == (2, "")
    assert "says something else" in ended.told[0]
    assert made.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cron", "--at", "25:00"], "--at '25:00': should be a time of the day"),
        (["cron", "--user"], "--user is for systemd"),
        (["launchd"], "KIND"),
    ],
)
def test_wrong_words_are_told(folder: Path, words: Sequence[str], said: str) -> None:
    """One sentence and what to write."""
    ended = service(folder, *words)
    assert (ended.code, ended.out, len(ended.told)) == (2, "", 2)
    assert said in ended.told[0]


def test_what_could_not_run_by_itself_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no lists, a list from stdin, a setting that only this shell has."""
    assert "needs a configuration file" in command(folder, "service", "cron").told[0]
    for manifests in ("[]", '["-"]'):
        (folder / "nightly.toml").write_text(f"[run]\nmanifests = {manifests}\n")
        assert "[run] manifests names nothing" in service(folder, "cron").told[0]
    (folder / "nightly.toml").write_text('[run]\nmanifests = ["films/"]\n')
    assert service(folder, "cron").code == 0


def test_a_setting_of_this_shell_alone_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service would do something else than the command that was tried."""
    from pipeline.app.upkeep.service import make_service
    from pipeline.config.settings import load

    monkeypatch.setenv("REELMILL_RUN__OUTPUT", "elsewhere")
    with pytest.raises(ConfigError, match="REELMILL_RUN__OUTPUT is set here"):
        make_service(load(folder / "nightly.toml"), "cron", "03:15")


@pytest.mark.parametrize("name", ["REELMILL_POST_HEADER", "REELMILL_POST_HEADER_FILE"])
def test_a_header_of_this_shell_alone_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The webhook of a service would lack it, night after night; without a webhook, nobody needs it."""
    from pipeline.app.upkeep.service import make_service
    from pipeline.config.settings import load

    (folder / "header").write_text("X-Token: hunter2")
    monkeypatch.setenv(name, "X-Token: hunter2" if name == "REELMILL_POST_HEADER" else str(folder / "header"))
    config = folder / "nightly.toml"
    assert make_service(load(config), "cron", "03:15")
    config.write_text('[run]\nmanifests = ["films/"]\n[watch]\npost_json = "https://example.org/hook"\n')
    with pytest.raises(ConfigError, match=f"{name} is set here") as caught:
        make_service(load(config), "cron", "03:15")
    assert "post_header_file" in caught.value.trouble.remedy
    assert "hunter2" not in str(caught.value.trouble)


@pytest.mark.parametrize("kind", ["systemd", "cron", "container"])
def test_the_local_platform_needs_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Whatever this shell holds: systemd would not start a service whose key is not there."""
    from pipeline.app.upkeep.service import make_service
    from pipeline.config.settings import load

    monkeypatch.setenv("TWELVELABS_API_KEY", KEY)
    (folder / "nightly.toml").write_text('[run]\nmanifests = ["films/"]\n[provider]\nkind = "local"\n')
    files = make_service(load(folder / "nightly.toml"), kind, "03:15")  # type: ignore[arg-type]
    assert "TWELVELABS" not in json.dumps([file.content for file in files])


@pytest.mark.parametrize("kind", ["systemd", "cron", "container"])
@pytest.mark.parametrize("held", ["variable", "file"])
def test_no_file_holds_the_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, held: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the key stands in the environment or in a file: only a file is named."""
    from pipeline.app.upkeep.service import make_service
    from pipeline.config.settings import load

    key = folder / "key"
    key.write_text(KEY)
    monkeypatch.delenv("TWELVELABS_API_KEY_FILE", raising=False)
    monkeypatch.setenv(
        "TWELVELABS_API_KEY" if held == "variable" else "TWELVELABS_API_KEY_FILE",
        KEY if held == "variable" else str(key),
    )
    files = make_service(load(folder / "nightly.toml"), kind, "03:15")  # type: ignore[arg-type]
    text = json.dumps([file.content for file in files])
    assert KEY not in text
    assert ("/etc/reelmill.key" if held == "variable" else str(key)) in text
    assert ("write the API key" in text) is (held == "variable" and kind != "container")


# ------------------------------------------------------------------------------------------------- several hosts


SHARED = replace(
    PLAIN,
    own=[Path("/srv/state")],
    password_file=Path("/etc/reelmill.store-password"),
    reads=[Path("/srv/films"), Path("/mnt/more")],
)


@needs_systemd
@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
def test_systemd_takes_a_worker_and_what_feeds_it(tmp_path: Path, user: bool) -> None:
    """Started again after a crash, but not where somebody must do something; ``verify`` has not one word to say."""
    program = tmp_path / "reelmill"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    it = replace(
        SHARED, program=[str(program)], config=tmp_path / "n.toml", writes=[tmp_path], reads=[tmp_path], user="root"
    )
    files = worker_files(it, user=user)
    names = ["reelmill-nightly-worker.service", "reelmill-nightly-submit.service", "reelmill-nightly-submit.timer"]
    assert [file.name for file in files] == names
    worker, submit, timer = (file.content for file in files)
    assert values(worker, "ExecStart")[0].endswith(f'"work" "--config" "{tmp_path}/n.toml"')
    assert values(worker, "Restart") == ["on-failure"]
    assert values(worker, "RestartPreventExitStatus") == ["2 4 75"]
    assert values(worker, "WantedBy") == ["default.target" if user else "multi-user.target"]
    assert "enable --now reelmill-nightly-worker.service" in worker
    assert '"run" "--submit" "--config"' in submit
    assert "Starts reelmill-nightly-submit.service" in timer
    held = ["store-password:/etc/reelmill.store-password"]
    assert [each for each in values(worker, "LoadCredential") if "store" in each] == ([] if user else held)
    assert "REELMILL_STORE_PASSWORD_FILE=" in worker
    assert verified(files, tmp_path, user=user) == (0, "")
    assert [file.name for file in worker_files(replace(it, feeds=False), user=user)] == names[:1]


@pytest.mark.parametrize(
    "it", [SHARED, replace(SHARED, config=Path(f"{ODD}/n.toml"), reads=[Path(ODD)], key_file=None)]
)
def test_compose_takes_its_file(tmp_path: Path, it: Deployment) -> None:
    """By the schema of Compose files; folders mean themselves, workers wait for the tables, and no secret is in it."""
    path = tmp_path / "compose.yaml"
    path.write_text(compose_file(it).content)
    ran = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    services = yaml.safe_load(path.read_text())["services"]
    assert services.keys() == {"postgres", "migrate", "worker", "submit", "status"}
    worker = services["worker"]
    assert [word.replace("$$", "$") for word in worker["command"]] == ["work", "--config", str(it.config)]
    assert worker["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["submit"]["profiles"] == ["submit"]
    bound = {
        each["source"].replace("$$", "$"): each.get("read_only", False)
        for each in worker["volumes"]
        if each["type"] == "bind"
    }
    assert bound == {"/srv/out": False, **{str(each): True for each in it.shared_reads}}
    own = [each["target"] for each in worker["volumes"] if each["type"] == "volume"]
    assert own == ["/var/lib/reelmill", "/var/lib/reelmill-pace"]
    assert worker["secrets"] == ["store-password", *(["twelvelabs"] if it.key_file else [])]
    assert services["submit"]["volumes"][0] == {"type": "volume", "source": "submit", "target": "/var/lib/reelmill"}
    assert "submit" not in yaml.safe_load(compose_file(replace(it, feeds=False)).content)["services"]


@pytest.mark.parametrize(
    "it", [SHARED, replace(SHARED, config=Path(f"{ODD}/n.toml"), reads=[Path(ODD)], key_file=None)]
)
def test_kubernetes_takes_its_objects(it: Deployment) -> None:
    """By the strict schema of each kind; the configuration, which may hold secrets, is a secret of its own."""
    objects = list(yaml.safe_load_all(kubernetes_file(it).content))
    assert [each["kind"] for each in objects] == ["Job", "StatefulSet", "CronJob"]
    for each in objects:
        kubernetes_validate.validate(each, "1.34", strict=True)
    worker = objects[1]["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] == it.stop_seconds
    (container,) = worker["containers"]
    assert [word.replace("$$(", "$(") for word in container["args"]] == ["work", "--config", str(it.config)]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(it.config), "/srv/out", "/var/lib/reelmill", "/run/secrets"} <= mounts
    assert "/srv/state" not in mounts
    feed = objects[2]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert feed["volumeMounts"][0] == {"name": "files", "subPath": ".reelmill-submit", "mountPath": "/var/lib/reelmill"}
    assert "CronJob" not in kubernetes_file(replace(it, feeds=False)).content
    assert objects[2]["spec"]["schedule"] == "5 3 * * *"
    assert {volume["name"]: "secret" in volume for volume in worker["volumes"]} == {
        "config": True,
        "secret": True,
        "files": False,
    }  # the state is a claim's


@pytest.mark.parametrize("kind", ["worker", "compose", "kubernetes"])
def test_workers_need_a_database_and_a_platform_that_all_share(folder: Path, kind: str) -> None:
    """Refused with what to set; Compose brings the database itself."""
    ended = service(folder, kind)
    assert ended.code == 2
    expected = "a local platform of its own" if kind == "compose" else "[store] url names none"
    assert expected in ended.told[0]
    (folder / "nightly.toml").write_text(
        '[provider]\nkind = "local"\nbase_url = "http://10.0.0.9:8000"\n[store]\nurl = "postgresql://r@127.0.0.1/films"\n'
    )
    ended = service(folder, kind, "--json")
    assert ended.code == 0, ended.err
    assert "work" in json.dumps(ended.json)
    assert len(ended.json) == 1  # nothing to feed: no list is named


@pytest.mark.parametrize("kind", get_args(ServiceKind))
def test_no_file_holds_a_secret_of_the_configuration(folder: Path, kind: ServiceKind) -> None:
    """Addresses of the night watch are as good as passwords: whatever is printed is kept, shown and applied elsewhere."""
    (folder / "nightly.toml").write_text(
        '[run]\nmanifests = ["films/"]\n[provider]\nkind = "local"\nbase_url = "http://10.0.0.9:8000"\n'
        f'[store]\nurl = "postgresql://r@127.0.0.1/films"\n[source]\nshared = ["{folder.resolve()}"]\n'
        '[watch]\nping = "https://hc.example/hunter2"\nnotify = ["mailto://me:hunter2@example.org"]\n'
    )
    ended = service(folder, kind, "--json")
    assert ended.code == 0, ended.err
    assert ended.json
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize("kind", ["compose", "kubernetes"])
def test_films_that_would_wait_for_a_container_are_refused(folder: Path, kind: str) -> None:
    """A file outside the shared folders belongs to the host that was given it, which is gone a moment later."""
    (folder / "nightly.toml").write_text(
        '[run]\nmanifests = ["films/"]\n[provider]\nkind = "local"\nbase_url = "http://10.0.0.9:8000"\n'
        '[store]\nurl = "postgresql://r@127.0.0.1/films"\n'
    )
    ended = service(folder, kind)
    assert ended.code == 2
    assert "[run] manifests names films, which is not below [source] shared" in ended.told[0]
    assert f'shared = ["{folder.resolve()}/films"]' in ended.told[1]
