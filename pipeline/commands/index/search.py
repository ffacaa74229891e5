"""``search`` and ``classify``: questions to an index."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipeline import app
from pipeline.commands.shared import arguments, options
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="OPTION", show_default=False,
        help="What counts: visual, audio or transcription (API v1.2: visual, conversation, text_in_video or logo). "
        "Repeat it for several. Default: all that the index has.",
    ),
]  # fmt: skip
Speech = Annotated[
    list[str] | None,
    typer.Option(
        "--speech", metavar="HOW", show_default=False,
        help="How speech is matched: lexical or semantic, repeated for both (API v1.2: semantic or exact_match).",
    ),
]  # fmt: skip
Threshold = Annotated[
    str | None,
    typer.Option(
        "--threshold", metavar="LEAST", show_default=False,
        help="Least certainty: high, medium, low or none (API v1.2).",
    ),
]  # fmt: skip

ClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="OPTION", show_default=False,
        help="What counts: visual, conversation or text_in_video. Repeat it for several. Default: all that the index has.",
    ),
]  # fmt: skip
ClassSpeech = Annotated[
    list[str] | None,
    typer.Option("--speech", metavar="HOW", help="How speech is matched: semantic or exact_match.", show_default=False),
]
ClassThreshold = Annotated[
    str | None,
    typer.Option("--threshold", metavar="LEAST", help="Least certainty: a score from 0 to 100.", show_default=False),
]


@command("state", "output", "provider")
def search(
    given: Invocation,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in plain words.")] = "",
    index: options.Index = None,
    option: Option = None,
    speech: Speech = None,
    group_by: Annotated[
        Literal["clip", "video"], typer.Option(help="What is found: the best moments, or the best videos.")
    ] = "clip",
    operator: Annotated[
        Literal["or", "and"], typer.Option(help="What must fit: any of the options, or all of them.")
    ] = "or",
    threshold: Threshold = None,
    sort: Annotated[
        Literal["score", "clip_count"] | None,
        typer.Option(help="What comes first, with --group-by video (API v1.2).", show_default=False),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="JSON",
            help='Only videos like this, e.g. {"duration": {"gte": 60}}.',
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL", help="A picture to look for (API v1.3). Up to ten.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="Hits that are listed at most.")
    ] = 10,
) -> int:
    """Search the videos of an index for moments, with links into the results.

    The local platform is started for the search and needs nothing else. The vendor's platform bills each search; no budget
    of a run counts it.

    \b
    Examples:
      reelmill search "the queen lays eggs"
      reelmill search goals --index "Sports" --option visual --group-by video
      reelmill search --image ball.jpg --json | jq '.hits[0]'
    """
    from pipeline.present.tables.index.search import search_table

    ask = arguments.build_query(
        "search",
        text=text, index=index, options=option, speech=speech, group_by=group_by, operator=operator, sort=sort,
        threshold=threshold, filter=arguments.parse_json_object("search: --filter", filter_), images=image,
        limit=limit,
    )  # fmt: skip
    found = given.call(lambda settings: app.search(settings, ask))
    given.show(found, lambda: search_table(found))
    return ExitCode.DONE


@command("state", "output", "provider")
def classify(
    given: Invocation,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="NAME=PROMPT,…", help="A class and what to look for. Repeat it for each class."
        ),
    ] = None,
    index: options.Index = None,
    video: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Only this video, by the id that `reelmill videos` shows. Repeat it for several."
        ),
    ] = None,
    option: ClassOption = None,
    speech: ClassSpeech = None,
    threshold: ClassThreshold = None,
    min_ratio: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            min=0,
            max=1,
            help="Least share of a video's length that fits its class, 0 to 1.",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[bool, typer.Option("--clips", help="Show the moments that fit, too.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed", help="Show each option's part in the score, too.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="Videos that are listed at most.")
    ] = 50,
) -> int:
    """Sort the videos of an index into classes of your own (API v1.2).

    API v1.3 has no such call: there the job `classify` sorts each video, and this command shows how to configure it.

    \b
    Examples:
      reelmill classify --class "Basketball=basketball,NBA" --class Golf
      reelmill classify --class Golf=putting --video 6528aa52 --clips
    """
    from pipeline.present.tables.index.search import classify_table

    ask = arguments.build_query(
        "classify",
        classes=arguments.parse_classes(classes or []), index=index, videos=video, options=option, speech=speech, clips=clips,
        detailed=detailed, threshold=arguments.parse_score(threshold, min_ratio), limit=limit,
    )  # fmt: skip
    found = given.call(lambda settings: app.classify(settings, ask))
    given.show(found, lambda: classify_table(found))
    return ExitCode.DONE
