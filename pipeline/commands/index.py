"""``search``, ``classify``, ``indexes``, ``videos``: what asks an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.commands import arguments, options
from pipeline.commands.runner import guarded, load_settings, wait_for
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.ports.index_api import IndexInfo


@guarded
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in plain words.")] = "",
    index: options.Index = None,
    option: options.Option = None,
    speech: options.Speech = None,
    group_by: Annotated[Literal["clip", "video"], typer.Option(help="Best moments, or best videos.")] = "clip",
    operator: Annotated[Literal["or", "and"], typer.Option(help="Found by any of the options, or by all.")] = "or",
    threshold: options.Threshold = None,
    sort: Annotated[
        Literal["score", "clip_count"] | None,
        typer.Option(help="What is best, when grouped by video (API v1.2).", show_default=False),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="JSON", help='Which videos, e.g. {"duration": {"gte": 60}}.', show_default=False
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL", help="A picture to look for (API v1.3). Up to ten.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="Hits at most.")] = 10,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Search the videos of an index: moments, each with its video and where its results are.

    With the local platform nothing else has to run: it is started on what was ingested. Each search is paid for on the
    vendor's platform, outside of any run's budget.

    \b
    Examples:
      reelmill search "the queen lays eggs"
      reelmill search goals --index "Sports Videos" --option visual --option audio --group-by video
      reelmill search --image ball.jpg --json | jq '.hits[0]'
    """
    from pipeline import app
    from pipeline.present import index_tables as tables
    from pipeline.present import terminal

    ask = arguments.query(
        "search",
        text=text, index=index, options=option, speech=speech, group_by=group_by, operator=operator, sort=sort,
        threshold=arguments.threshold(threshold), filter=arguments.json_object("search: --filter", filter_), images=image,
        limit=limit,
    )  # fmt: skip
    settings = load_settings(config, _flags(state, output, provider, log_level))
    found = wait_for(lambda: app.search(settings, ask))
    terminal.say_json(found) if json else terminal.show(tables.hits(found))
    return ExitCode.DONE


@guarded
def classify(
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="NAME=PROMPT,…", help="A class and what to look for. Repeat it for each class."
        ),
    ] = None,
    index: options.Index = None,
    video: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this video, by the platform's id. May be repeated.")
    ] = None,
    option: options.Option = None,
    speech: options.Speech = None,
    threshold: options.Threshold = None,
    min_ratio: Annotated[
        float | None,
        typer.Option(metavar="R", min=0, max=1, help="Least share of a video that fits, 0 to 1.", show_default=False),
    ] = None,
    clips: Annotated[bool, typer.Option("--clips", help="Also the moments that fit.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed", help="Also how the score was made.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="Videos at most.")] = 50,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Sort the videos of an index into classes of your own (API v1.2).

    API v1.3 has no such call: there the job `classify` asks it of every video, and this command shows its configuration.

    \b
    Examples:
      reelmill classify --class "Basketball=playing basketball,NBA" --class Golf --threshold 80
      reelmill classify --class Golf=putting --video 6528aa52 --clips
    """
    from pipeline import app
    from pipeline.present import index_tables as tables
    from pipeline.present import terminal

    ask = arguments.query(
        "classify",
        classes=arguments.classes(classes or []), index=index, videos=video, options=option, speech=speech, clips=clips,
        detailed=detailed, threshold=arguments.score(threshold, min_ratio), limit=limit,
    )  # fmt: skip
    settings = load_settings(config, _flags(state, output, provider, log_level))
    found = wait_for(lambda: app.classify(settings, ask))
    terminal.say_json(found) if json else terminal.show(tables.classes(found))
    return ExitCode.DONE


@guarded
def indexes(
    action: Annotated[
        Literal["list", "create", "delete"], typer.Argument(metavar="[list|create|delete]", help="What to do.")
    ] = "list",
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name, or id, of an index; with list: names that contain it.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL=OPTION,…", help="A model of a new index and its options. May be repeated."),
    ] = None,
    addon: Annotated[list[str] | None, typer.Option(metavar="ADDON", help="An extra, e.g. thumbnail.")] = None,
    yes: options.Yes = False,
    config: options.Config = None,
    state: options.State = None,
    provider: options.Provider = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """List, create or delete indexes. Deleting takes the videos in it along, and asks first unless --yes.

    \b
    Examples:
      reelmill indexes
      reelmill indexes create "Sports Videos" --model marengo3.0=visual,audio --addon thumbnail
      reelmill indexes delete "Sports Videos"
    """
    from pipeline.core.errors import ConfigError

    if action != "list" and not name:
        raise ConfigError(f"indexes {action}: name the index", remedy=f"reelmill indexes {action} NAME")
    if action != "create" and (model or addon):
        raise ConfigError(f"indexes {action}: --model and --addon are for create")
    settings = load_settings(config, _flags(state, None, provider, log_level))
    if action == "create":
        return _create(settings, str(name), model or [], addon or [], json)
    if action == "delete":
        return _delete(settings, str(name), yes, json)
    return _list(settings, name or "", json)


def _list(settings: Settings, name: str, json: bool) -> int:
    from pipeline import app
    from pipeline.ports.index_api import ListFilter
    from pipeline.present import index_tables as tables
    from pipeline.present import terminal

    found = wait_for(lambda: app.indexes(settings, ListFilter(name=name)))
    terminal.say_json(found) if json else terminal.show(tables.indexes(found))
    return ExitCode.DONE


def _create(settings: Settings, name: str, models: list[str], addons: list[str], json: bool) -> int:
    from pipeline import app
    from pipeline.ports.index_api import IndexSpec
    from pipeline.present import index_tables as tables
    from pipeline.present import terminal

    spec = IndexSpec(name, arguments.models(models), addons)
    made = wait_for(lambda: app.create_index(settings, spec))
    terminal.say_json(made) if json else terminal.show(tables.indexes([made]))
    return ExitCode.DONE


def _delete(settings: Settings, name: str, yes: bool, json: bool) -> int:
    from pipeline import app
    from pipeline.present import terminal
    from pipeline.present.formatting import clean

    def agreed(index: IndexInfo) -> bool:
        return yes or arguments.agreed(index)

    gone = wait_for(lambda: app.delete_index(settings, name, agreed))
    if gone is None:
        terminal.tell("nothing was deleted")
        return ExitCode.INTERRUPTED
    terminal.say_json({"deleted": gone}) if json else terminal.say(f"deleted {clean(gone.name)} ({gone.id})")
    return ExitCode.DONE


@guarded
def videos(
    index: options.Index = None,
    filename: Annotated[str, typer.Option(metavar="NAME", help="Only with this file name.")] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only from then on: a day, or a time like 2026-06-01T10:00:00Z.")
    ] = "",
    seconds: options.Range = None,
    width: options.WidthRange = None,
    height: options.HeightRange = None,
    size: options.SizeRange = None,
    meta: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only with this of your metadata. May be repeated.")
    ] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="Videos at most.")] = 50,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """List the videos in an index, with our title and results folder where they are ours.

    \b
    Examples:
      reelmill videos --seconds 60..600
      reelmill videos --index "Sports Videos" --since 2026-06-01 --limit 5
    """
    from pipeline import app
    from pipeline.ports.index_api import ListFilter
    from pipeline.present import index_tables as tables
    from pipeline.present import terminal

    which = ListFilter(
        filename=filename, created_since=arguments.moment("--since", since), seconds=arguments.span("--seconds", seconds),
        width=arguments.whole_span("--width", width), height=arguments.whole_span("--height", height),
        size=arguments.whole_span("--size", size), metadata=dict(arguments.pairs("--meta", meta or [])),
        sort="asc" if oldest else "desc",
    )  # fmt: skip
    settings = load_settings(config, _flags(state, output, provider, log_level))
    found = wait_for(lambda: app.videos(settings, index or "", which, limit=limit))
    terminal.say_json(found) if json else terminal.show(tables.videos(found))
    return ExitCode.DONE


def _flags(state: Path | None, output: Path | None, provider: str | None, log_level: str | None) -> dict[str, Any]:
    return {"run.state": state, "run.output": output, "provider.kind": provider, "log.level": log_level}
