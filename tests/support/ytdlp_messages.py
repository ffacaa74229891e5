"""What the installed yt-dlp says when it fails: every literal message in its sources, and the catalogue of those we have read.

``python -m tests.support.ytdlp_messages`` prints the messages of the installed version that the catalogue lacks, with the
class that each gets; ``--write`` puts the catalogue in their place, to be read before it is committed.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yt_dlp

from pipeline.source.youtube.failures import Cause, DownloadFailure, classify

CATALOGUE = Path(__file__).parents[1] / "fixtures" / "youtube_messages.json"
VERSION = str(yt_dlp.version.__version__)
_HOME = Path(yt_dlp.__file__).parent
_SOURCES = ("extractor/youtube", "extractor/common.py", "downloader", "networking", "YoutubeDL.py", "cookies.py")
_OTHER_SITES = frozenset({"bunnycdn.py", "fc2.py", "niconico.py", "soop.py"})  # downloaders of one other site each
#: What raises or reports a failure -> the exception that the worker sees, with its bases.
_FAILING: dict[str, tuple[str, ...]] = {
    "report_error": ("DownloadError",), "DownloadError": ("DownloadError",), "ExtractorError": ("ExtractorError",),
    "raise_no_formats": ("ExtractorError",), "raise_login_required": ("ExtractorError",), "UserNotLive": ("UserNotLive",),
    "raise_geo_restricted": ("GeoRestrictedError", "ExtractorError"), "UnsupportedError": ("UnsupportedError",),
    "EntryNotInPlaylist": ("EntryNotInPlaylist",), "ContentTooShortError": ("ContentTooShortError",),
    "RequestError": ("RequestError",), "UnsupportedRequest": ("UnsupportedRequest", "RequestError"),
    "ProxyError": ("ProxyError", "TransportError"), "CookieLoadError": ("CookieLoadError",),
    "SameFileError": ("SameFileError",),
    "JsChallengeProviderError": ("JsChallengeProviderError",), "PostProcessingError": ("PostProcessingError",),
}  # fmt: skip
_FOREIGN = frozenset({"YouTube said: x"})  # what the site says follows, and is its own
#: Raised with a message of their own as a default.
_EXPECTED = frozenset({"raise_login_required", "raise_geo_restricted", "UserNotLive", "UnsupportedError"})


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One literal message: its text with ``x`` for what varies, how it is raised, and whether upstream expects it."""

    text: str
    raised: str
    expected: bool

    @property
    def code(self) -> str:
        """The class that a download gets that fails with it."""
        kinds = _FAILING[self.raised]
        return classify(DownloadFailure((Cause(kinds[0], kinds, self.text, self.expected),))).rule.code


def installed() -> list[Message]:
    """Return the messages of the installed yt-dlp."""
    found: set[Message] = set()
    for name in _SOURCES:
        place = _HOME / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if path.name not in _OTHER_SITES:
                found.update(_messages(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(found)


def catalogue() -> tuple[str, dict[Message, str]]:
    """Return the version that was read, and its messages with their classes."""
    data = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return data["version"], {Message(text, raised, expected): code for text, raised, expected, code in data["messages"]}


def _messages(tree: ast.Module) -> Iterator[Message]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        texts = _assigned(function)
        if function.name in _FAILING:
            for text in texts.pop("msg", ()):
                yield Message(text, function.name, function.name in _EXPECTED)
        for call in ast.walk(function):
            if isinstance(call, ast.Call):
                yield from _called(call, texts)


def _called(call: ast.Call, texts: dict[str, list[str]]) -> Iterator[Message]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    options = {each.arg: each.value for each in call.keywords}
    spared = options.get("is_error")
    if name not in _FAILING or not call.args or (isinstance(spared, ast.Constant) and spared.value is False):
        return
    expected = options.get("expected")
    sure = name in _EXPECTED or (isinstance(expected, ast.Constant) and bool(expected.value))
    for text in _texts(call.args[0], texts):
        plain = " ".join(text.split())
        if sum(map(str.isalpha, plain.replace("x", ""))) > 3 and plain not in _FOREIGN:
            yield Message(plain, name, sure)


def _assigned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, list[str]]:
    """Return the texts that a function gives to its variables and to its parameters without an argument."""
    found: dict[str, list[str]] = {}
    arguments = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    for argument, default in zip(arguments, function.args.defaults, strict=True):
        found.setdefault(argument.arg, []).extend(_texts(default, {}))
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).extend(_texts(node.value, {}))
    return found


def _texts(node: ast.AST, known: dict[str, list[str]]) -> list[str]:
    """Return the texts that an expression can be, as far as it says; ``x`` stands for the rest."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            found = [""]
            for part in parts:
                inner = part.value if isinstance(part, ast.FormattedValue) else part
                found = [before + each for before in found for each in _texts(inner, known) or ["x"]]
            return found
        case ast.BinOp(left=left, op=ast.Mod()):
            return _texts(left, known)
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            ends = _texts(right, known) or ["x"]
            return [f"{start}{end}" for start in _texts(left, known) or ["x"] for end in ends]
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body, known), *_texts(other, known)]
        case ast.BoolOp(values=values):
            return [text for value in values for text in _texts(value, known)]
        case ast.Call(func=ast.Attribute(value=inner, attr="format")):
            return _texts(inner, known)
        case ast.Name(id=name):
            return known.get(name, [])
    return []


def main() -> None:
    """Print what is new, or write the catalogue."""
    found = {message: message.code for message in installed()}
    version, known = catalogue() if CATALOGUE.exists() else ("none", {})
    print(f"yt-dlp {VERSION}: {len(found)} messages; read was {version}: {len(known)}")
    for message, code in found.items():
        if message not in known:
            print(f"{code:>18}  {message.raised}: {message.text}")
    if "--write" in sys.argv:
        rows = [[each.text, each.raised, each.expected, code] for each, code in found.items()]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        CATALOGUE.write_text(f'{{"version": "{VERSION}", "messages": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
