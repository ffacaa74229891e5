"""The options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCES",
        help="Manifests (.txt, .csv, .jsonl), video files, folders, globs, URLs, or - for a list on stdin. "
        "None: the manifests that the configuration names.",
        show_default=False,
    ),
]
Items = Annotated[
    list[str] | None,
    typer.Argument(metavar="ITEM", help="Items by id, key, path or title, as `status` shows them.", show_default=False),
]
Item = Annotated[str, typer.Argument(metavar="ITEM", help="An item by id, key, path or title, as `status` shows it.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", envvar="REELMILL_CONFIG", show_default=False,
        help="Configuration file. Without it ./reelmill.toml, if there is one.",
    ),
]  # fmt: skip
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Where progress is kept.", show_default=False)
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where results are written.", show_default=False)
]
Provider = Annotated[
    Literal["local", "twelvelabs"] | None,
    typer.Option(
        "--provider", show_default=False, help="Which platform. Without it twelvelabs if a key is set, else local."
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option("--jobs", metavar="A,B", help="Jobs for every video, e.g. gist,chapters.", show_default=False),
]
Strict = Annotated[
    bool | None,
    typer.Option("--strict", help="Refuse to start if any line of a list is not usable.", show_default=False),
]
MaxUsd = Annotated[
    float | None,
    typer.Option("--max-usd", metavar="USD", help="Spend at most this in the run (exit 5).", show_default=False),
]
Index = Annotated[
    str | None,
    typer.Option("--index", metavar="NAME", help="An index by name or id. Default: [index] name.", show_default=False),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="OPTION", show_default=False,
        help="Where to look: visual, audio, transcription; API v1.2: visual, conversation, text_in_video, logo. "
        "May be repeated. Default: wherever the index and the platform can.",
    ),
]  # fmt: skip
Speech = Annotated[
    list[str] | None,
    typer.Option(
        "--speech", metavar="HOW", show_default=False,
        help="How speech is matched: lexical, semantic; API v1.2: semantic, exact_match. May be repeated.",
    ),
]  # fmt: skip
Threshold = Annotated[
    str | None,
    typer.Option(
        "--threshold", metavar="LEAST", show_default=False,
        help="API v1.2: high, medium, low or none for a search; 0 to 100 for a classification.",
    ),
]  # fmt: skip
Range = Annotated[
    str | None, typer.Option("--seconds", metavar="MIN..MAX", help="Only of this length.", show_default=False)
]
WidthRange = Annotated[
    str | None, typer.Option("--width", metavar="MIN..MAX", help="Only of this width, pixels.", show_default=False)
]
HeightRange = Annotated[
    str | None, typer.Option("--height", metavar="MIN..MAX", help="Only of this height, pixels.", show_default=False)
]
SizeRange = Annotated[
    str | None, typer.Option("--size", metavar="MIN..MAX", help="Only of this size, bytes.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option("--log-level", help="How much is logged on stderr.", show_default=False),
]
