"""Real browsers for tests: WebDriver BiDi, the W3C standard, to Debian's Chromium and Firefox alike.

Chromium speaks it through chromedriver, Firefox by itself. A browser has a profile of its own, reaches loopback only,
and ends with its children. ``Tab.run`` is how a test asks the page; nothing here sleeps.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from websockets.sync.client import ClientConnection, connect

BrowserName = Literal["chromium", "firefox"]
BROWSERS: tuple[BrowserName, ...] = ("chromium", "firefox")

#: The programs of each, by the names that they have here and there; Debian's packages for all of them.
_PROGRAMS: Mapping[BrowserName, Sequence[Sequence[str]]] = {
    "chromium": [["chromium", "chromium-browser", "google-chrome"], ["chromedriver"]],
    "firefox": [["firefox-esr", "firefox"]],
}
PACKAGES: Mapping[BrowserName, str] = {"chromium": "chromium chromium-driver", "firefox": "firefox-esr"}

_NOWHERE = "127.0.0.1:9"  #: a proxy that refuses: only loopback, which needs none, is reached
_CHROMIUM = [
    "--headless", "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-dev-shm-usage",
    "--enable-precise-memory-info", "--autoplay-policy=no-user-gesture-required", f"--proxy-server={_NOWHERE}",
]  # fmt: skip
_FIREFOX: Mapping[str, object] = {
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.autoplay.default": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "nimbus.rollouts.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
#: Keys by the code points that WebDriver gives them.
KEYS: Mapping[str, str] = {
    "Backspace": "\ue003", "Tab": "\ue004", "Enter": "\ue007", "Shift": "\ue008", "Control": "\ue009", "Escape": "\ue00c",
    "Space": " ", "End": "\ue010", "Home": "\ue011", "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}  # fmt: skip


def missing(name: BrowserName) -> str:
    """Return which programs of a browser this machine lacks, in words; empty if it has all."""
    lacking = [names[0] for names in _PROGRAMS[name] if not any(map(shutil.which, names))]
    if not lacking:
        return ""
    return f"no {' and no '.join(lacking)} on this machine: install {PACKAGES[name]} to test the page in {name}"


class BidiError(Exception):
    """The browser refuses a command, or a script in the page threw."""


class _Bidi:
    """One connection: commands out, answers in; events go to whoever has asked for them."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.tabs: dict[str, Tab] = {}

    def __call__(self, command: str, /, **params: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": command, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._number:
                break
            self._heard(answer)
        if answer["type"] == "error":
            raise BidiError(f"{command}: {answer['error']}: {answer['message']}")
        return answer["result"]

    def _heard(self, event: Mapping[str, Any]) -> None:
        params = event.get("params", {})
        tab = self.tabs.get(params.get("context") or params.get("session") or params.get("source", {}).get("context"))
        if tab is None:
            return
        if event["method"] == "log.entryAdded":
            tab.console.append(ConsoleLine(params["level"], params.get("text") or ""))
        elif event["method"] == "goog:cdp.Log.entryAdded":  # what Chromium itself says; the standard's event lacks it
            entry = params["params"]["entry"]
            tab.console.append(
                ConsoleLine(entry["level"].removesuffix("ing"), f"{entry['text']} {entry.get('url', '')}")
            )
        elif event["method"] == "network.beforeRequestSent":
            tab.requests.append(params["request"]["url"])


@dataclass(frozen=True)
class ConsoleLine:
    """What the page or the browser wrote to the console."""

    level: str
    text: str


#: Runs in each document before its own scripts: what the content security policy has refused.
_PRELOAD = """() => {
  window.__refused = [];
  document.addEventListener("securitypolicyviolation", (e) =>
    window.__refused.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
}"""


@dataclass
class Tab:
    """One tab."""

    browser: Browser
    context: str
    session: str = ""  #: of the same tab in Chromium's own protocol
    console: list[ConsoleLine] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  #: addresses asked for, once ``watch_requests`` was called

    def open(self, address: str | Path, fragment: str = "") -> None:
        """Go to an address, or to a file of the disk; return when it has loaded."""
        url = address.absolute().as_uri() if isinstance(address, Path) else address
        self._ask("browsingContext.navigate", url=url + fragment, wait="complete")

    def run(self, body: str, *arguments: object) -> Any:
        """Run a function's body in the page; it gets ``arguments`` as ``args``, may await, and returns JSON.

        Raises:
            BidiError: it threw.
        """
        script = f"(async (args) => {{ {body} }})({json.dumps(arguments)}).then((v) => JSON.stringify(v ?? null))"
        return json.loads(self._evaluate(script)["value"])

    def value(self, expression: str, *arguments: object) -> Any:
        """Return an expression's value in the page."""
        return self.run(f"return ({expression})", *arguments)

    def wait(self, expression: str, *arguments: object, seconds: float = 30) -> Any:
        """Wait until an expression is true in the page, and return it.

        Raises:
            AssertionError: it never was.
        """
        is_true, found = self.run(
            f"const until = performance.now() + {seconds * 1000};"
            f"for (;;) {{ const found = ({expression}); if (found || performance.now() > until) return [!!found, found];"
            " await new Promise((go) => setTimeout(go, 10)); }",
            *arguments,
        )
        if not is_true:
            seen = f"never true: {expression} {arguments}\n{self.text()[:2000]}"
            raise AssertionError(seen.encode("utf-8", "backslashreplace").decode())
        return found

    def text(self) -> str:
        """Return what a reader sees."""
        return str(self.value("document.body.innerText"))

    def _evaluate(self, script: str, **target: str) -> Any:
        answer = self.browser.bidi(
            "script.evaluate", expression=script, target={"context": self.context, **target}, awaitPromise=True
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        return answer["result"]

    def _ask(self, method: str, **params: Any) -> Any:
        return self.browser.bidi(method, context=self.context, **params)

    # ------------------------------------------------------------------------------------------------ a person's hands

    def press(self, *keys: str) -> None:
        """Press keys one after another: names of ``KEYS``, ``Shift+Tab``, or characters."""
        actions = []
        for each in keys:
            chord = [KEYS.get(key, key) for key in (each.split("+") if len(each) > 1 else [each])]
            actions += [{"type": "keyDown", "value": key} for key in chord]
            actions += [{"type": "keyUp", "value": key} for key in reversed(chord)]
        self._ask("input.performActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.press(*text)

    def click(self, selector: str, nth: int = 0) -> None:
        """Click into the middle of the ``nth`` element that a selector finds."""
        found = f"document.querySelectorAll({json.dumps(selector)})[{nth}]"
        self.wait(f"!!{found}")
        element = self._evaluate(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}}), {found}")
        origin = {"type": "element", "element": {"sharedId": element["sharedId"]}}
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._ask("input.performActions", actions=[{"type": "pointer", "id": "mouse", "actions": actions}])

    def back(self, by: int = -1) -> None:
        """Go back, or forward, in the tab's history."""
        self._ask("browsingContext.traverseHistory", delta=by)

    def located(self, selector: str) -> list[Mapping[str, Any]]:
        """Return the elements of a selector as BiDi describes them; works without scripts in the page."""
        nodes = self._ask("browsingContext.locateNodes", locator={"type": "css", "value": selector})["nodes"]
        return [node["value"] for node in nodes]

    # --------------------------------------------------------------------------------------------------- what it sees

    def viewport(self, width: int, height: int, ratio: float = 1.0) -> None:
        """Give the page a size, in CSS pixels."""
        self._ask("browsingContext.setViewport", viewport={"width": width, "height": height}, devicePixelRatio=ratio)

    def media(self, *, dark: bool = False, print_: bool = False, still: bool = False) -> None:
        """Show the page in a scheme, as printed, or to somebody who wants no motion."""
        if self.browser.name == "chromium":
            features = [
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
            ]
            self.cdp("Emulation.setEmulatedMedia", media="print" if print_ else "screen", features=features)
            return
        scheme, medium = "dark" if dark else "light", "print" if print_ else ""
        self.browser.chrome(
            "for (const each of gBrowser.browsers) {"
            f"each.browsingContext.prefersColorSchemeOverride = '{scheme}';"
            f"each.browsingContext.mediumOverride = '{medium}'; }}"
            f"Services.prefs.setIntPref('ui.prefersReducedMotion', {int(still)}); return 0"
        )
        self.wait("matchMedia('(prefers-reduced-motion: reduce)').matches === args[0]", still)

    def scripts(self, *, allowed: bool) -> None:
        """Allow or forbid the page's own scripts from the next load on."""
        if self.browser.name == "chromium":
            self.cdp("Emulation.setScriptExecutionDisabled", value=not allowed)
        else:
            self.browser.chrome(f"Services.prefs.setBoolPref('javascript.enabled', {json.dumps(allowed)}); return 0")

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self._ask("browsingContext.captureScreenshot")["data"]))

    def printed(self) -> bytes:
        """Return the page as PDF."""
        return base64.b64decode(self._ask("browsingContext.print")["data"])

    def errors(self) -> list[str]:
        """Return all errors and warnings of the console so far, and what the content security policy has refused."""
        refused = self.value("window.__refused")  # whatever was said before has arrived with the answer
        return [f"{line.level}: {line.text}" for line in self.console if line.level in ("error", "warn")] + (
            refused or []
        )

    def watch_requests(self) -> None:
        """Note the addresses that the page asks for from now on."""
        self.browser.bidi("session.subscribe", events=["network.beforeRequestSent"], contexts=[self.context])

    def heap(self) -> int:
        """Return the bytes that the page's objects take after a collection.

        Chromium: the JavaScript heap. Firefox: everything that its memory reporter books to this window, DOM and
        styles too.
        """
        if self.browser.name == "chromium":
            self.cdp("HeapProfiler.collectGarbage")
            return int(self.cdp("Runtime.getHeapUsage")["usedSize"])
        return int(self.browser.chrome(_WINDOW_SIZE, self.value("location.href.split('#')[0]")))

    def cdp(self, method: str, **params: object) -> Any:
        """Ask Chromium for what the standard does not know yet."""
        return self.browser.bidi("goog:cdp.sendCommand", method=method, params=params, session=self.session)["result"]

    def close(self) -> None:
        """Close it."""
        self.browser.bidi.tabs.pop(self.context)
        self.browser.bidi.tabs.pop(self.session, None)
        self._ask("browsingContext.close")


#: Sums what Firefox's memory reporter books to the window of an address.
_WINDOW_SIZE = """
  const manager = Cc["@mozilla.org/memory-reporter-manager;1"].getService(Ci.nsIMemoryReporterManager);
  await new Promise((done) => manager.minimizeMemoryUsage(done));
  let sum = 0;
  const shown = args[0].replaceAll("/", "\\\\");
  await new Promise((done) => manager.getReports((process, path, kind, units, amount) => {
    if (path.startsWith("explicit/window-objects/") && path.includes(shown)) sum += amount;
  }, null, done, null, false));
  return sum;
"""


@dataclass
class Browser:
    """A running browser."""

    name: BrowserName
    version: str
    bidi: _Bidi

    @contextlib.contextmanager
    def tab(self) -> Iterator[Tab]:
        """Open a tab with an empty history, in the light scheme, and close it at the end."""
        tab = Tab(self, self.bidi("browsingContext.create", type="tab")["context"])
        self.bidi.tabs[tab.context] = tab
        if self.name == "chromium":
            tab.session = self.bidi("goog:cdp.getSession", context=tab.context)["session"]
            self.bidi.tabs[tab.session] = tab
            tab.cdp("Log.enable")
        tab.media()
        tab.viewport(1280, 800)
        try:
            yield tab
        finally:
            tab.close()

    def chrome(self, body: str, *arguments: object) -> Any:
        """Run a function's body in Firefox's own window, where everything is allowed."""
        tree = self.bidi("browsingContext.getTree", **{"moz:scope": "chrome"})
        return Tab(self, tree["contexts"][0]["context"]).run(body, *arguments)


@contextlib.contextmanager
def started(name: BrowserName) -> Iterator[Browser]:
    """Start a browser and end it, with all its children, on leaving.

    Raises:
        FileNotFoundError: this machine has none; ``missing`` says so before.
    """
    programs = [next(filter(None, map(shutil.which, names)), None) for names in _PROGRAMS[name]]
    if None in programs:
        raise FileNotFoundError(missing(name))
    with contextlib.ExitStack() as stack:
        profile = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True)))
        address, version = (_chromium if name == "chromium" else _firefox)(
            stack, [str(each) for each in programs], profile
        )
        bidi = _Bidi(stack.enter_context(connect(address, max_size=None, compression=None, ping_interval=None)))
        if name == "firefox":
            version = bidi("session.new", capabilities={})["capabilities"]["browserVersion"]
        own = ["goog:cdp.Log.entryAdded"] if name == "chromium" else []
        bidi("session.subscribe", events=["log.entryAdded", *own])
        bidi("script.addPreloadScript", functionDeclaration=_PRELOAD)
        yield Browser(name, version, bidi)


def _chromium(stack: contextlib.ExitStack, programs: Sequence[str], profile: Path) -> tuple[str, str]:
    port = _spawned(stack, [programs[1], "--port=0"], r"successfully on port (\d+)")
    arguments = [*_CHROMIUM, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    wanted = {"webSocketUrl": True, "goog:chromeOptions": {"binary": programs[0], "args": arguments}}
    body = json.dumps({"capabilities": {"alwaysMatch": wanted}}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/session", body, {"Content-Type": "application/json"}, method="POST"
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as answer:
        found = json.load(answer)["value"]["capabilities"]
    return found["webSocketUrl"], found["browserVersion"]


def _firefox(stack: contextlib.ExitStack, programs: Sequence[str], profile: Path) -> tuple[str, str]:
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _FIREFOX.items()]
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    arguments = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    told = r"BiDi listening on (ws://\S+)"
    return f"{_spawned(stack, [*programs, *arguments, '--remote-allow-system-access'], told)}/session", ""


def _spawned(stack: contextlib.ExitStack, command: Sequence[str], told: str) -> str:
    """Start a program in a process group of its own; return what it tells about its address."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "MOZ_CRASHREPORTER_DISABLE": "1"},
    )
    assert process.stdout is not None
    found: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, re.compile(told), found), daemon=True)
    reader.start()
    stack.callback(_end, process, reader)
    address = found.get(timeout=60)
    if not address.startswith(("ws:", *"0123456789")):
        raise BidiError(f"{command[0]} did not start:\n{address}")
    return address


def _read(output: IO[str], told: re.Pattern[str], found: queue.Queue[str]) -> None:
    """Read all that a program says, so that it never waits; put its address, or all it said if it ends without."""
    said = []
    with output:
        for line in output:
            if match := told.search(line):
                found.put(match[1])
            said.append(line)
    found.put("".join(said))


def _end(process: subprocess.Popen[str], reader: threading.Thread) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join(timeout=10)
