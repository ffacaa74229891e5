"""What every test shares: a quiet log, and a user's state folder that is not the user's."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.programs import path_without


@pytest.fixture(autouse=True, scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give all tests and the processes that they start a state folder of their own: the real one is not theirs."""
    folder = tmp_path_factory.mktemp("user-state")
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(folder)
    yield folder
    assert not list(folder.rglob("pace-*.json")), "a test asks a site without a pace_folder of its own"
    os.environ.pop("XDG_STATE_HOME")
    if before is not None:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the log out of the way; tests about the log set it up themselves."""
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def pytest_configure(config: pytest.Config) -> None:
    """Make all machines alike: thousands of processes keep their bytecode, and none finds a program that reads pictures."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    links = tempfile.TemporaryDirectory(prefix="reelmill-tests-")
    config.add_cleanup(links.cleanup)
    os.environ["PATH"] = path_without("tesseract", os.environ, Path(links.name))
    gc.set_threshold(20_000, 20, 20)  # as the program does


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With ``-n auto``, two workers for each core: a third of the time is waited for processes, disks and locks."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: begun last, it is waited for alone. Each worker begins with a part of the tests in
    their order, so each part begins with its share; what is left is shared out by stealing.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    long = sorted((item for item in items if _seconds(item)), key=_seconds, reverse=True)
    rest = [item for item in items if not _seconds(item)]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        share = long[worker::workers]
        room = len(items) // workers - len(share)
        ordered += [*share, *rest[:room]]
        rest = rest[room:]
    items[:] = ordered + rest


def _seconds(item: pytest.Item) -> float:
    """Return about how long a test takes beside others, 0 where it hardly matters."""
    marker = item.get_closest_marker("slow")
    return float(marker.kwargs.get("seconds", 0.0)) if marker is not None else 0.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many ways to die were tried, wherever the workers of this session did it."""
    passed = terminalreporter.stats.get("passed", [])
    counts = [number for report in passed for name, number in report.user_properties if name == "scenarios"]
    if counts:
        terminalreporter.write_line(
            f"{sum(counts):,} deaths and mishaps in {len(counts)} tests, each finished and judged"
        )
