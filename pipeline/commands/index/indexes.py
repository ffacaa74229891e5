"""``indexes`` and ``videos``: what there is to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline import app
from pipeline.commands.shared import arguments, options
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.ports.index_api import IndexInfo

Range = Annotated[
    str | None,
    typer.Option("--seconds", metavar="MIN..MAX", help="Only videos of this length in seconds.", show_default=False),
]
WidthRange = Annotated[
    str | None,
    typer.Option("--width", metavar="MIN..MAX", help="Only videos of this width in pixels.", show_default=False),
]
HeightRange = Annotated[
    str | None,
    typer.Option("--height", metavar="MIN..MAX", help="Only videos of this height in pixels.", show_default=False),
]
SizeRange = Annotated[
    str | None,
    typer.Option("--size", metavar="MIN..MAX", help="Only videos of this size in bytes.", show_default=False),
]


@command("state", "provider")
def indexes(
    given: Invocation,
    action: Annotated[
        Literal["list", "create", "delete"],
        typer.Argument(metavar="ACTION", help="What to do: list, create or delete."),
    ] = "list",
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name or id of an index; with list, a part of its name.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=OPTION,…", help="With create: a model of the index and its options. Repeat it for several."
        ),
    ] = None,
    addon: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDON", help="With create: an extra of the index, e.g. thumbnail. Repeat it for several."
        ),
    ] = None,
    yes: options.Yes = False,
) -> int:
    """List, create or delete indexes.

    Deleting takes the videos in it along, and asks first unless --yes.

    \b
    Examples:
      reelmill indexes
      reelmill indexes create "Sports Videos" --model marengo3.0=visual,audio
      reelmill indexes delete "Sports Videos"
    """
    from pipeline.core.errors import ConfigError

    if action != "list" and not name:
        raise ConfigError(f"indexes {action}: name the index", remedy=f"reelmill indexes {action} NAME")
    if action != "create" and (model or addon):
        raise ConfigError(f"indexes {action}: --model and --addon are for create")
    if action == "create":
        return _create(given, str(name), model or [], addon or [])
    if action == "delete":
        return _delete(given, str(name), yes)
    return _list(given, name or "")


def _list(given: Invocation, name: str) -> int:
    from pipeline.ports.index_api import ListFilter
    from pipeline.present.tables.index.indexes import indexes_table

    found = given.call(lambda settings: app.indexes(settings, ListFilter(name=name)))
    given.show(found, lambda: indexes_table(found))
    return ExitCode.DONE


def _create(given: Invocation, name: str, models: list[str], addons: list[str]) -> int:
    from pipeline.ports.index_api import IndexSpec
    from pipeline.present.tables.index.indexes import indexes_table

    spec = IndexSpec(name, arguments.parse_models(models), addons)
    made = given.call(lambda settings: app.create_index(settings, spec))
    given.show(made, lambda: indexes_table([made]))
    return ExitCode.DONE


def _delete(given: Invocation, name: str, yes: bool) -> int:
    from pipeline.present import terminal
    from pipeline.present.formatting import clean

    def agreed(index: IndexInfo) -> bool:
        return yes or arguments.confirm_delete(index)

    gone = given.call(lambda settings: app.delete_index(settings, name, agreed))
    if gone is None:
        terminal.tell("nothing was deleted")
        return ExitCode.INTERRUPTED
    given.say({"deleted": gone}, f"deleted {clean(gone.name)} ({gone.id})")
    return ExitCode.DONE


@command("state", "output", "provider")
def videos(
    given: Invocation,
    index: options.Index = None,
    filename: Annotated[str, typer.Option(metavar="NAME", help="Only videos with this file name.")] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only from then on: a day, or a time like 2026-06-01T10:00:00Z.")
    ] = "",
    seconds: Range = None,
    width: WidthRange = None,
    height: HeightRange = None,
    size: SizeRange = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only videos with this metadata of yours. Repeat it for several."),
    ] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="List the oldest first.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="Videos that are listed at most.")
    ] = 50,
) -> int:
    """List the videos in an index, with their titles and folders of results.

    \b
    Examples:
      reelmill videos --seconds 60..600
      reelmill videos --index "Sports Videos" --since 2026-06-01 --limit 5
    """
    from pipeline.ports.index_api import ListFilter
    from pipeline.present.tables.index.indexes import videos_table

    which = ListFilter(
        filename=filename, created_since=arguments.parse_time("--since", since),
        seconds=arguments.parse_range("--seconds", seconds),
        width=arguments.parse_int_range("--width", width), height=arguments.parse_int_range("--height", height),
        size=arguments.parse_int_range("--size", size), metadata=dict(arguments.parse_pairs("--meta", meta or [])),
        sort="asc" if oldest else "desc",
    )  # fmt: skip
    found = given.call(lambda settings: app.videos(settings, index or "", which, limit=limit))
    given.show(found, lambda: videos_table(found))
    return ExitCode.DONE
