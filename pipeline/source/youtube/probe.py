"""What a probe of one video found, and whether it should be fetched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError, NotYet, Permanent, Unwanted
from pipeline.core.model import Json, Trouble
from pipeline.ports.playlists import explain_exclusion
from pipeline.ports.source import MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.preflight import check
from pipeline.source.youtube.failures import find_rule
from pipeline.source.youtube.formats import StreamFormat, expected_bytes, parse_format

_HOUR = 3600.0
_ABOUT = (
    "id", "title", "channel", "channel_id", "uploader", "uploader_id", "upload_date", "duration", "description", "language",
    "categories", "availability", "live_status", "webpage_url",
)  # fmt: skip
#: Seconds until the next looks at what is not there yet; the last repeats.
LATER: Mapping[str, tuple[float, ...]] = {
    "upcoming": (6 * _HOUR,), "not_live": (6 * _HOUR,), "processing": (_HOUR, 6 * _HOUR, 24 * _HOUR), "live": (6 * _HOUR,),
    "live_offline": (_HOUR, 6 * _HOUR, 24 * _HOUR),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one extraction; times in epoch seconds, length or None."""

    id: str
    title: str
    seconds: float | None
    live: str
    release: float | None
    plan: str
    formats: tuple[StreamFormat, ...]
    subtitles: tuple[str, ...]
    automatic: tuple[str, ...]
    language: str
    about: Mapping[str, Json]
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Expected size in bytes; 0 if unknown."""
        return expected_bytes(self.formats)

    @property
    def day(self) -> str:
        """The day of publication, ``YYYYMMDD`` in UTC; empty if unknown."""
        return str(self.about.get("upload_date") or "")

    @property
    def opens(self) -> float:
        """Epoch seconds before which the site serves no media (a wait instead of advertisements)."""
        return max((each.available_at for each in self.formats), default=0.0)


def parse_probe(event: Mapping[str, Any]) -> Probe:
    """Parse the worker's ``probed`` event.

    Raises:
        InputError: it describes no single video.
    """
    info = _sound(event.get("info"))
    if not isinstance(info, dict) or not info.get("id"):
        raise InputError("The address names no single video.", code="bad_ref", remedy="name the video itself")
    return Probe(
        id=str(info["id"]),
        title=str(info.get("title") or ""),
        seconds=_number(info.get("duration")),
        live=str(info.get("live_status") or ""),
        release=_number(info.get("release_timestamp")),
        plan=str(event.get("plan") or ""),
        formats=tuple(parse_format(each) for each in info.get("formats") or ()),
        subtitles=tuple(map(str, info.get("subtitles") or ())),
        automatic=tuple(map(str, info.get("automatic") or ())),
        language=str(info.get("language") or ""),
        about={name: info[name] for name in _ABOUT if info.get(name) not in (None, "", [])},
        warnings=tuple(map(str, event.get("warnings") or ())),
    )


def require_fetchable(
    probe: Probe, wanted: str, ceilings: Ceilings, now: float, bounds: Mapping[str, Json] | None = None
) -> None:
    """Raise unless the video can be fetched and probably taken now.

    Raises:
        NotYet: it has not been shown yet, still runs, or is still processed.
        Unwanted: it is outside of ``bounds``, which its list could not check exactly.
        Permanent: another video came, or the platform would refuse this one.
    """
    if probe.id != wanted:
        raise Permanent(
            f"YouTube answered with another video ({probe.id[:40]}).", code="other_video", remedy="look at it"
        )
    _not_live(probe, now)
    unwanted = explain_exclusion(bounds or {}, probe.day, probe.seconds)
    if unwanted is not None:
        raise Unwanted(
            unwanted.message, code=unwanted.code, remedy=unwanted.remedy, day=probe.day, seconds=probe.seconds
        )
    trouble = check(_facts(probe, ceilings), ceilings)
    if trouble is not None:
        raise Permanent(trouble.message, code=trouble.code, remedy=trouble.remedy)


def _not_live(probe: Probe, now: float) -> None:
    if probe.live == "is_upcoming":
        after = LATER["upcoming"][0] if probe.release is None else max(_HOUR / 2, probe.release - now + _HOUR / 2)
        rule = find_rule("upcoming")
        raise NotYet(rule.message, after=after, code=rule.code, remedy=rule.remedy)
    if probe.live == "is_live":
        rule = find_rule("live")
        raise NotYet(rule.message, after=LATER["live"][0], code=rule.code, remedy=rule.remedy)
    if probe.live == "post_live":
        rule = find_rule("processing")
        first, *then = LATER["processing"]
        raise NotYet(rule.message, after=first, then=tuple(then), code=rule.code, remedy=rule.remedy)


def _facts(probe: Probe, ceilings: Ceilings) -> MediaFacts:
    """Return the facts known without a byte; unknown ones pass."""
    picture = next((each for each in probe.formats if each.width and each.height), None)
    side = max(ceilings.min_side, 1)
    return MediaFacts(
        path=Path(),
        size=probe.bytes,
        seconds=probe.seconds if probe.seconds is not None else ceilings.min_seconds,
        width=picture.width or side if picture else side,
        height=picture.height or side if picture else side,
        container="",
        video_codec="",
        audio_codec="",
        mime="",
    )


def caption_track(probe: Probe, wanted: Sequence[str]) -> tuple[str, bool] | None:
    """Choose the (language, automatic) track: human before automatic, never an automatic translation."""
    human = [name for name in probe.subtitles if name != "live_chat"]
    own = probe.language.partition("-")[0].lower()
    for language in (*wanted, *([own] if own else [])):
        found = _matching(human, language)
        if found:
            return found, False
    if human and not wanted:
        return human[0], False
    original = [name for name in probe.automatic if name.endswith("-orig")]
    spoken = original[0] if original else _exactly(probe.automatic, own)
    if spoken is None:
        return None
    if wanted and not any(spoken.partition("-")[0].lower() == name.partition("-")[0].lower() for name in wanted):
        return None
    return spoken, True


def length_problem(probe: Probe, facts: MediaFacts) -> Trouble | None:
    """Return why a file's length betrays holes or doubled pieces, or None."""
    if probe.seconds is None:
        return None
    allowed = max(2.0, 0.02 * probe.seconds)
    if abs(facts.seconds - probe.seconds) <= allowed:
        return None
    message = f"The file is {facts.seconds:.1f} s long, the video {probe.seconds:.1f} s."
    return Trouble("damaged_download", message, "it is fetched anew by itself")


def _matching(names: Sequence[str], language: str) -> str | None:
    exact = _exactly(names, language)
    if exact is not None:
        return exact
    return next((name for name in names if name.partition("-")[0].lower() == language.lower()), None)


def _exactly(names: Sequence[str], language: str) -> str | None:
    return next((name for name in names if name.lower() == language.lower()), None) if language else None


def _sound(value: Any) -> Any:
    """Sanitize texts: halves of characters are joined or replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_sound(entry) for entry in value]
    return {_sound(name): _sound(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
