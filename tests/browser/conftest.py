"""The browsers of these tests: each started once for a worker, each test with a tab of its own.

A machine without a browser skips its tests, and says which programs it lacks; ``REELMILL_BROWSERS=required`` makes that
a failure.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tests.support.axe import axe_source
from tests.support.browser import BROWSERS, Browser, BrowserName, Tab, missing, started


def lack(reason: str) -> NoReturn:
    """Skip a test, or fail where nothing may be skipped."""
    if os.environ.get("REELMILL_BROWSERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def start_browser() -> Iterator[Callable[[BrowserName], Browser]]:
    """Return a function that starts a browser, or returns the one that runs."""
    running: dict[BrowserName, Browser] = {}
    with contextlib.ExitStack() as stack:

        def start(name: BrowserName) -> Browser:
            if name not in running:
                running[name] = stack.enter_context(started(name))
            return running[name]

        yield start


@pytest.fixture(params=BROWSERS)
def browser(request: pytest.FixtureRequest, start_browser: Callable[[BrowserName], Browser]) -> Browser:
    """Return a running browser; each test runs in both."""
    if reason := missing(request.param):
        lack(reason)
    return start_browser(request.param)


@pytest.fixture
def lone_tab(browser: Browser) -> Iterator[Tab]:
    """Return a new tab."""
    with browser.tab() as tab:
        yield tab


@pytest.fixture
def tab(lone_tab: Tab) -> Iterator[Tab]:
    """Return a new tab whose console must be clean at the end of the test."""
    yield lone_tab
    assert lone_tab.errors() == []


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core's source."""
    source = axe_source()
    if source is None:
        lack("no axe-core: pip install --no-deps axe-playwright-python, or set REELMILL_AXE to an axe.min.js")
    return source
