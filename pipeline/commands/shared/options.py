"""Options of several commands; the frame itself reads those in :data:`COMMON`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCES",
        help="Lists of videos (.txt, .csv, .jsonl), video files, folders, patterns like 'a/**/*.mp4', addresses, or - for a "
        "list on stdin. Without any: the lists that [run] manifests names.",
        show_default=False,
    ),
]
Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        metavar="NAME",
        help="An index by name or id. Default: [index] name of the configuration.",
        show_default=False,
    ),
]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="FROM",
        show_default=False,
        help="Only items from there: file, url or youtube; a list; a folder; the beginning of an address.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only items with this tag. Repeat it for several.", show_default=False),
]
Again = Annotated[bool, typer.Option("--again", help="Ask once more, for its price, what has its answer.")]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65_535, show_default=False,
        help="Port to serve on; 0 takes a free one. Default: as configured.",
    ),
]  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; take the answer to be yes.")]
ConfirmOver = Annotated[
    float | None,
    typer.Option(
        "--confirm-over", metavar="USD", min=0, show_default=False,
        help="Ask first if it may cost more than this. Where nobody can be asked (plan, cron): exit code 5.",
    ),
]  # fmt: skip
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", envvar="REELMILL_CONFIG", show_default=False,
        help="Configuration file. Default: reelmill.toml in this folder, if there is one.",
    ),
]  # fmt: skip
State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="State folder: where progress is kept. Default: .reelmill.", show_default=False
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Output folder: where results are written. Default: out.",
        show_default=False,
    ),
]
Provider = Annotated[
    Literal["local", "twelvelabs"] | None,
    typer.Option(
        "--provider",
        show_default=False,
        help="Which platform: twelvelabs needs a key, local none. Default: twelvelabs if a key is set.",
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        metavar="A,B",
        help="Only these jobs, e.g. gist,chapters. Default: all; in a run gist, summary, chapters, highlights.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option("--strict", help="Do not start if any line of a list cannot be used.", show_default=False),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        "--max-usd", metavar="USD", help="Spend at most this; the run then stops with exit code 5.", show_default=False
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        "--max-time", metavar="TIME", show_default=False,
        help="Take nothing more on after so long, e.g. 5h or 1h30m, and end as after one Ctrl-C (exit 6).",
    ),
]  # fmt: skip
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing if all is well (exit 0): for cron.")]
Progress = Annotated[
    Literal["auto", "plain", "none"] | None,
    typer.Option(
        "--progress",
        help="How progress is shown. auto: live on a terminal. plain: a line a minute.",
        show_default=False,
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option("--log-level", help="How much is logged on standard error.", show_default=False),
]


def read_names(jobs: str | None) -> list[str] | None:
    """Read ``a,b``."""
    return None if jobs is None else [name.strip() for name in jobs.split(",") if name.strip()]


@dataclass(frozen=True, slots=True)
class CommonOption:
    """An option that many commands have, and the setting it sets."""

    annotation: Any
    key: str = ""
    default: Any = None
    read: Callable[[Any], Any] = lambda value: value


COMMON: Final[Mapping[str, CommonOption]] = {
    "config": CommonOption(Config),
    "state": CommonOption(State, "run.state"),
    "output": CommonOption(Output, "run.output"),
    "provider": CommonOption(Provider, "provider.kind"),
    "jobs": CommonOption(Jobs, "jobs.enabled", read=read_names),
    "strict": CommonOption(Strict, "run.strict"),
    "max_usd": CommonOption(MaxUsd, "budget.max_usd_per_run"),
    "max_time": CommonOption(MaxTime, "run.max_time"),
    "quiet": CommonOption(Quiet, default=False),
    "json": CommonOption(AsJson, default=False),
    "progress": CommonOption(Progress, "log.progress"),
    "log_level": CommonOption(LogLevel, "log.level"),
}
