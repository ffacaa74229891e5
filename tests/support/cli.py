"""The command as a process, and the platform as another: what acceptance and kill tests drive from outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog

#: The key that every process here is given, and that must turn up nowhere.
KEY = "tlk_planted-key-7f3a9c51"
#: What must happen once per name of ours. A session that was opened in vain costs nothing and expires.
ONCE = ("asset_created", "session_completed", "analyze_task_created", "analyze_sync")

PATIENCE = 120.0  #: seconds; no promise of speed: a small machine with other work needs most of them


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The data on stdout."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log on stderr; a line that is not JSON raises. The last words for people are not part of it."""
        lines = [line for line in self.err.splitlines() if line and not line.startswith(("reelmill: ", "  →"))]
        return [json.loads(line) for line in lines]

    @property
    def told(self) -> list[str]:
        """The words for people on stderr."""
        return [line for line in self.err.splitlines() if line.startswith(("reelmill: ", "  →"))]


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without settings of ours, with the key planted nowhere but where asked for."""
    ours = ("REELMILL_", "TWELVELABS_", "PYTHONIO", "COLUMNS", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **more}


@dataclass(slots=True)
class Running:
    """A command that has not ended. It is the leader of a process group of its own."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, as a service manager does."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def wait(self, timeout: float = PATIENCE) -> Ended:
        """Wait for the end."""
        code = self.process.wait(timeout)
        return Ended(code, self.out.read_text(encoding="utf-8"), self.err.read_text(encoding="utf-8"))

    def said(self) -> str:
        """What is on stderr so far."""
        return self.err.read_text(encoding="utf-8", errors="replace")


@dataclass(slots=True)
class Terminal:
    """A folder to work in and what is exported there. Commands that are still running are killed with :meth:`close`."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.config:
            # Posters are made by a process of their own, and hardly any test looks at them.
            config = {**self.config}
            config.setdefault("gallery", {"posters": False})
            (self.folder / "reelmill.toml").write_text(toml(config), encoding="utf-8")

    def run(
        self, *args: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None, timeout: float = PATIENCE,
    ) -> Ended:  # fmt: skip
        """Run a command to its end. ``before`` runs in the new process just before the command does."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        ran = subprocess.run(
            [sys.executable, "-m", "pipeline", *args], cwd=self.folder, env=environment(**{**self.env, **(env or {})}),
            input=given, capture_output=True, timeout=timeout, check=False, preexec_fn=before,
        )  # fmt: skip
        return Ended(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    def start(self, *args: str, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL) -> Running:
        """Start a command and go on."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        number = len(self.started)
        out, err = logs / f"{number}.out", logs / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *args], cwd=self.folder,
                env=environment(**{**self.env, **(env or {})}), stdin=stdin, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        running = Running(process, out, err)
        self.started.append(running)
        return running

    def close(self) -> None:
        """End what is still running."""
        for running in self.started:
            if running.alive:
                running.kill()


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep this process's handlers: a command that ends ignores signals, as its process does."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def command(folder: Path, *args: str) -> Ended:
    """Run a command inside this process, without the price of a start-up; return how it ended and what it said."""
    from pipeline.__main__ import main  # heavy, and most tests need only processes

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv, hidden = (
        sys.argv,
        {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("REELMILL_", "TWELVELABS_"))},
    )
    sys.argv = ["reelmill", *args]
    code = 0
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), own_signals():
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = argv
        os.environ.update(hidden)
        structlog.reset_defaults()
    return Ended(code, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))


@dataclass(slots=True)
class Platform:
    """``reelmill platform`` in a process of its own: its memory survives it, so it is an independent witness."""

    terminal: Terminal
    port: int = 0
    base_url: str = ""
    running: Running | None = None

    def start(self) -> None:
        """Serve, at the same address as before if it was running once."""
        self.running = self.terminal.start("platform", "--json", "--port", str(self.port))
        running = self.running
        until(lambda: not running.alive or "serving" in running.said(), "the platform to serve")
        if not running.alive:
            raise RuntimeError(f"the platform ended: {running.said()}")
        self.base_url = json.loads(running.out.read_text(encoding="utf-8"))["base_url"]
        self.port = int(self.base_url.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        assert self.running is not None
        self.running.kill()

    def entries(self) -> list[dict[str, Any]]:
        """Return its ledger."""
        return list(self._ask("GET", "ledger").json()["data"])

    def paid(self) -> Counter[tuple[str, str]]:
        """Count what must happen once, by (effect, our key)."""
        return Counter((entry["effect"], entry["client_key"]) for entry in self.entries() if entry["effect"] in ONCE)

    def twice(self) -> list[tuple[str, str]]:
        """Return what was paid more than once: must stay empty."""
        return sorted(pair for pair, times in self.paid().items() if times > 1)

    def requests(self) -> dict[str, int]:
        """Return how many requests came per route since it started."""
        return dict(self._ask("GET", "requests").json()["routes"])

    def spoil(self, *rules: Mapping[str, Any]) -> None:
        """Replace its script of faults; none lets everything go well."""
        self._ask("POST", "faults", {"rules": list(rules)})

    def _ask(self, method: str, what: str, body: Any = None) -> httpx.Response:
        answer = httpx.request(
            method,
            f"{self.base_url}/_platform/{what}",
            json=body,
            headers={"x-api-key": KEY},
            timeout=20,
            trust_env=False,
        )
        answer.raise_for_status()
        return answer


@contextmanager
def serving(folder: Path) -> Iterator[Platform]:
    """Serve a platform whose key is KEY, in a folder of its own."""
    terminal = Terminal(folder, {"TWELVELABS_API_KEY": KEY})
    platform = Platform(terminal)
    try:
        platform.start()
        yield platform
    finally:
        terminal.close()


def customer(folder: Path, platform: Platform, kind: str = "local", **sections: Mapping[str, Any]) -> Terminal:
    """Return a terminal whose commands use that platform: as the local one, or as if it were the vendor's."""
    provider = {"kind": kind, "base_url": platform.base_url, **sections.pop("provider", {})}
    return Terminal(folder, {"TWELVELABS_API_KEY": KEY}, {"provider": provider, **sections})


def until(fact: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """Wait for a fact and return it."""
    end = time.monotonic() + timeout
    while not (found := fact()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        pause(0.01)
    return found


def pause(seconds: float) -> None:
    """Let other processes work for a moment."""
    threading.Event().wait(seconds)


def toml(config: Mapping[str, Mapping[str, Any]]) -> str:
    """Write sections as TOML; one level of tables in tables."""
    lines: list[str] = []
    for section, values in config.items():
        plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items())]
        for key in values.keys() - plain.keys():
            lines += [f"[{section}.{key}]", *(f"{name} = {json.dumps(value)}" for name, value in values[key].items())]
    return "\n".join(lines) + "\n"


def leftovers(out: Path) -> Sequence[str]:
    """Return temporary files in an output folder."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.name.endswith(".tmp"))
