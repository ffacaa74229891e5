"""The options of yt-dlp, per request, as JSON for the pipe. Pure.

Its defaults for programs have no retries at all, so they are set here. Options that sleep, loop, search, read other files
or run commands are never set, and only a short list of the user's own is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.youtube import YouTubeSection
from pipeline.core.errors import ConfigError
from pipeline.core.model import Json

SOCKET_TIMEOUT = 20.0
RETRIES = 5
#: Options of yt-dlp that a user may set, with what they must be.
ALLOWED: Mapping[str, tuple[type, ...]] = {
    "ratelimit": (int, float),
    "source_address": (str,),
    "socket_timeout": (int, float),
    "retries": (int,),
    "fragment_retries": (int,),
    "http_chunk_size": (int,),
    "js_runtimes": (dict,),
    "extractor_args": (dict,),
}
_EXTRACTORS = ("youtube", "youtubetab", "youtubepot")


def checked(options: Mapping[str, Any]) -> dict[str, Json]:
    """Validate the user's own options.

    Raises:
        ConfigError: one is not on the list, or of the wrong type.
    """
    for name, value in options.items():
        kinds = ALLOWED.get(name)
        if kinds is None:
            raise ConfigError(
                f"[youtube.options] {name}: this option of yt-dlp may not be set here",
                remedy=f"allowed: {', '.join(ALLOWED)}; other keys of [youtube] cover the rest",
            )
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ConfigError(f"[youtube.options] {name}: should be {' or '.join(kind.__name__ for kind in kinds)}")
    for runtime, given in options.get("js_runtimes", {}).items():
        if not isinstance(given, Mapping):
            raise ConfigError(f"[youtube.options] js_runtimes: {runtime} should be a table, e.g. {runtime} = {{}}")
    for extractor, given in options.get("extractor_args", {}).items():
        if not str(extractor).startswith(_EXTRACTORS):
            raise ConfigError(f"[youtube.options] extractor_args: '{extractor}' is not an extractor of YouTube")
        if not isinstance(given, Mapping) or not all(map(_is_words, given.values())):
            raise ConfigError(
                f"[youtube.options] extractor_args: {extractor} should be a table of lists of texts",
                remedy='e.g. extractor_args = { youtube = { player_client = ["web"] } }',
            )
    return dict(options)


def _is_words(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)


def quiet_limit(options: Mapping[str, Json], forced_wait: float = 0.0) -> float:
    """Return the seconds after which a silent yt-dlp counts as stuck."""
    timeout = float(options.get("socket_timeout", SOCKET_TIMEOUT))
    retries = int(options.get("retries", RETRIES))
    return timeout * (retries + 1) + 30.0 * retries + forced_wait


def base(rules: YouTubeSection) -> dict[str, Json]:
    """Return the options of every request."""
    params: dict[str, Json] = {
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "ignoreerrors": False,
        "cachedir": False,
        "allowed_extractors": ["youtube.*"],  # the generic one would fetch any address, this machine's included
        "socket_timeout": SOCKET_TIMEOUT,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": 3,
        "file_access_retries": 3,
        "noplaylist": True,
        "updatetime": False,
        "check_formats": None,
        "warn_when_outdated": False,
    }
    own = checked(rules.options)
    arguments = {name: dict(values) for name, values in own.pop("extractor_args", {}).items()}
    if rules.pot_provider:
        arguments.setdefault("youtubepot-bgutilhttp", {})["base_url"] = [rules.pot_provider]
    if rules.proxy is not None:
        params["proxy"] = rules.proxy.get_secret_value()
    if rules.ffmpeg is not None:
        params["ffmpeg_location"] = str(rules.ffmpeg)
    return {**params, **own, "extractor_args": arguments}


def probing(rules: YouTubeSection, sort: list[str]) -> dict[str, Json]:
    """Return the options for probing one video and choosing its formats."""
    return {**base(rules), "format_sort": sort, "merge_output_format": "mp4"}


def downloading(rules: YouTubeSection, sort: list[str], folder: Path, expression: str, cap: int) -> dict[str, Json]:
    """Return the options for downloading what was probed; ``cap`` in bytes.

    0 for none.
    The format's id in the name keeps another format from resuming the wrong bytes. No title: names must stay short and plain.
    """
    return {
        **probing(rules, sort),
        "format": expression,
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "%(id)s.%(format_id)s.%(ext)s"},
        "continuedl": True,
        "nopart": False,
        "overwrites": None,
        "skip_unavailable_fragments": False,  # the default leaves holes without a word
        "concurrent_fragment_downloads": 1,
        "fixup": "detect_or_warn",
        **({"max_filesize": cap} if cap else {}),
    }


def captioning(rules: YouTubeSection, folder: Path, language: str, *, automatic: bool) -> dict[str, Json]:
    """Return the options for one caption track, a call of its own.

    A 429 must not cost the video.
    """
    return {
        **base(rules),
        "skip_download": True,
        "writesubtitles": not automatic,
        "writeautomaticsub": automatic,
        "subtitleslangs": [language],
        "subtitlesformat": "vtt/srt/best",
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "captions.%(ext)s"},
        "ignore_no_formats_error": False,
    }


def listing(rules: YouTubeSection, most: int) -> dict[str, Json]:
    """Return the options for a flat list: one request a page, none per video."""
    params = base(rules)
    arguments = {**params["extractor_args"]}
    arguments["youtubetab"] = {**arguments.get("youtubetab", {}), "approximate_date": ["true"]}
    return {
        **params,
        "extract_flat": "in_playlist",
        "lazy_playlist": False,
        "noplaylist": False,
        "playlist_items": f"1:{most}",
        "sleep_interval_requests": 0.75,
        "extractor_args": arguments,
    }
