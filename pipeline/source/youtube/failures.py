"""Why a download failed, and what must happen next, as a table.

``classify`` reads it top down.
The sentences are the site's own and change: what fits no row is ``unknown``, is tried twice more, and shown raw.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.core.model import Trouble

_HOUR, _DAY = 3600.0, 86_400.0


class Action(StrEnum):
    """What a failure requires."""

    PAUSE = "pause"  #: the whole source stops: the next request would make it worse
    LATER = "later"  #: nothing is wrong, it is not time yet
    RETRY = "retry"  #: this item again, a few times
    RESTART = "restart"  #: remove what is half fetched and download again, once
    FAIL = "fail"  #: this item never again by itself


@dataclass(frozen=True, slots=True)
class Cause:
    """One exception of the chain, as the worker reports it."""

    type: str = ""
    kinds: tuple[str, ...] = ()
    message: str = ""
    expected: bool | None = None
    status: int | None = None
    errno: int | None = None
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DownloadFailure:
    """A failed request. ``download``: the media were being fetched, not the page."""

    causes: tuple[Cause, ...]
    download: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All messages as one line, in small letters, with plain apostrophes."""
        return _plain(" | ".join(cause.message for cause in self.causes))

    @property
    def raw(self) -> str:
        """The innermost message that says something, as received."""
        said = [cause.message for cause in self.causes if cause.message]
        return said[0] if said else ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. A row fits if any of its conditions does."""

    code: str
    action: Action
    message: str
    remedy: str
    words: tuple[str, ...] = ()  #: regular expressions on ``Failure.text``
    kinds: frozenset[str] = frozenset()  #: names of exception classes
    statuses: frozenset[int] = frozenset()
    errnos: frozenset[int] = frozenset()
    waits: tuple[float, ...] = ()  #: seconds before each next attempt; empty: the engine's own patience
    pause: float = _HOUR  #: of the whole source, first time; it doubles
    address: bool = False  #: the site refuses this machine's address: the pause is for all runs on it
    slower: bool = False  #: also halve the pace
    environment: bool = False  #: several in a row mean that this machine is at fault, not the videos
    download: bool | None = None  #: only while the media are fetched (True) or only before (False)


_OTHER_ADDRESS = "use another network, [youtube] cookies or a PO-token provider, then `reelmill retry --class {code}`"
_COOKIES = "give [youtube] cookies of an account that may see it, then `reelmill retry --class {code}`"
_UPGRADE = "upgrade yt-dlp and yt-dlp-ejs together, check the JavaScript runtime with `reelmill doctor`, then retry"
#: What yt-dlp warns of before it finds no format; no error names it.
_JS_WORDS = (
    r"no supported javascript runtime",
    r"challenge solving failed",
    r"signature solving failed",
    r"for js challenge",
)
TABLE: tuple[Rule, ...] = (
    Rule("too_large", Action.FAIL, "The download grew larger than what may be fetched.",
         "raise [fetch] max_bytes if the platform takes such a file", kinds=frozenset({"TooLarge"})),
    Rule("name_too_long", Action.FAIL, "The path of the download is too long for this disk.",
         "put [run] state into a folder with a shorter path, then `reelmill retry --class {code}`",
         (r"file name too long",), errnos=frozenset({errno.ENAMETOOLONG})),
    Rule("disk", Action.PAUSE, "The disk is full, or may not be written.",
         "free some space below [run] state, and check its permissions; it goes on by itself",
         (r"no space left", r"disk quota", r"unable to (open for writing|write data|create directory)", r"cannot write ",
          r"unable to \S+ (temporary )?file\b"), frozenset({"UnavailableVideoError"}),
         errnos=frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS}), pause=600.0),
    Rule("network_blocked", Action.PAUSE, "This network blocks YouTube.",
         "use another network, or set [youtube] proxy, then `reelmill retry --class {code}`",
         (r"access to this webpage has been blocked",)),
    Rule("bot_check", Action.PAUSE, "YouTube refused this machine's address (bot check).", _OTHER_ADDRESS,
         (r"not a bot", r"captcha challenge"), address=True),
    Rule("age_restricted", Action.FAIL, "The video is age-restricted.", _COOKIES,
         (r"confirm your age", r"inappropriate for some users", r"age.restricted")),
    Rule("rate_limited", Action.PAUSE, "YouTube says that this machine asks too often.",
         "requests are spaced further apart by themselves; raise [youtube] min_gap and max_gap if it happens again",
         (r"rate.limited by youtube", r"isn't available, try again later", r"content is not available, try again later"),
         statuses=frozenset({402, 429}), address=True, slower=True),
    Rule("ip_blocked", Action.PAUSE, "YouTube blocks this machine's address.", _OTHER_ADDRESS,
         (r"ip is likely being blocked", r"ip address .{0,40}blocked"), address=True),
    Rule("restricted", Action.FAIL, "An administrator of this network or account restricts the video.",
         "use a network without DNS filters or Restricted Mode, or [youtube] cookies of an account that may see it, then "
         "`reelmill retry --class {code}`",
         (r"video is restricted", r"google (workspace|apps)", r"network administrator", r"restricted mode"), environment=True),
    Rule("list_missing", Action.FAIL, "There is no such playlist or channel, or it is private.",
         "copy its address again from the browser; a private list needs [youtube] cookies of its owner",
         (r"(channel|playlist)\S* does(n't| not) exist", r"does the playlist exist", r"playlist is (private|not available)",
          r"channel is(n't| not) available", r"no such (channel|playlist|user)", r"album to playlist", r"there are no entries"),
         frozenset({"EntryNotInPlaylist"})),
    Rule("no_tab", Action.FAIL, "The channel has no such tab.",
         "name the channel itself, or another of its tabs: /videos, /shorts, /streams",
         (r"channel does not have an? \S* ?tab",)),
    Rule("list_not_viewable", Action.FAIL, "YouTube does not show this list as a list.",
         "mixes and personal lists (Watch later, Liked) cannot be subscribed to: name the videos, or make a playlist of them",
         (r"unviewable", r"playlist cannot be viewed")),
    Rule("members_only", Action.FAIL, "Only members of the channel may see the video.", _COOKIES,
         (r"members.only", r"join this channel", r"available to this channel's members")),
    Rule("private", Action.FAIL, "The video is private.", _COOKIES, (r"private video", r"video is private")),
    Rule("paid", Action.FAIL, "The video must be paid for.", "leave it out of the manifest",
         (r"requires (payment|a purchase|a subscription)", r"(music|youtube) premium", r"must be purchased", r"rented")),
    Rule("drm", Action.FAIL, "The video is copy-protected.",
         "leave it out; if every video says so, run without cookies or with other ones",
         (r"drm protected", r"unsupported drm", r"f4m drm")),
    Rule("geo", Action.FAIL, "The video is not available in this machine's country.",
         "set [youtube] proxy to one in a country where it is, then `reelmill retry --class geo`",
         (r"in your country", r"from your location", r"in your region"), frozenset({"GeoRestrictedError"}), frozenset({451})),
    Rule("blocked", Action.FAIL, "The video is blocked by its owner, outside YouTube or by copyright everywhere.",
         "leave it out, or ask the owner for the file",
         (r"who has blocked it", r"blocked it (on|from)", r"copyright grounds", r"on other websites has been disabled")),
    Rule("upcoming", Action.LATER, "The video has not been shown yet.", "it is fetched by itself once it is there",
         (r"premieres? in", r"premiere will begin", r"will begin (in|shortly)", r"starts? in \d")),
    Rule("live", Action.LATER, "The stream is still running; its recording is fetched once it has ended.",
         "nothing; it is looked at again by itself", (r"live dash videos are not supported",)),
    Rule("live_offline", Action.LATER, "The live event has ended or is offline, and there is no recording of it yet.",
         "it is fetched by itself once it is there; leave it out if it was cancelled",
         (r"live (event|stream) has ended", r"(live ?)?stream (is )?offline", r"event is offline")),
    Rule("not_live", Action.LATER, "The channel is not live.", "name the video itself", kinds=frozenset({"UserNotLive"}),
         words=(r"not currently live",)),
    Rule("processing", Action.LATER, "YouTube is still processing the video.", "it is fetched by itself once it is there",
         (r"processing (this )?video", r"(still|currently) being processed")),
    Rule("live_gone", Action.FAIL, "The recording of the live stream does not exist any more.", "leave it out",
         (r"recording is not available",)),
    Rule("removed", Action.FAIL, "The video, or its channel, was removed.", "leave it out of the manifest",
         (r"has been removed", r"removed by", r"(was|been) removed because", r"terminated", r"violating", r"copyright claim",
          r"no longer available", r"account .{0,60}closed", r"video does(n't| not) exist")),
    Rule("sign_in", Action.FAIL, "YouTube shows this only to those who are signed in.", _COOKIES,
         (r"sign in", r"login (details are needed|required)", r"for registered users", r"identified by the youtube community",
          r"suicide or self-harm", r"viewer discretion")),
    Rule("client_blocked", Action.FAIL, "YouTube does not give the video to this version of yt-dlp.", _UPGRADE,
         (r"not available on this app", r"page needs to be reloaded", r"no longer supported in this application",
          r"on this device", r"player configuration error", r"watch (this )?video on youtube", r"error (code: )?15\d"),
         environment=True),
    Rule("cookies_bad", Action.PAUSE, "The cookies are not accepted.",
         "export them again from a private window, as a Netscape file; then `reelmill retry --class cookies_bad`",
         (r"must be netscape", r"netscape format", r"cookies are no longer valid", r"failed to load cookies",
          r"cookies? database", r"cookies file", r"failed to decrypt"), frozenset({"CookieLoadError"})),
    Rule("ffmpeg_missing", Action.FAIL, "ffmpeg is needed for this format and was not found.", "install ffmpeg, then retry",
         (r"ffmpeg is not installed", r"ff(mpeg|probe) not found", r"ffmpeg could not be found"), environment=True),
    Rule("merge_failed", Action.RETRY, "Picture and sound could not be put together.",
         "it is fetched anew by itself; if it happens again, upgrade ffmpeg",
         (r"postprocessing:", r"conversion failed", r"post hooks:"),
         frozenset({"PostProcessingError"}), waits=(60.0,)),
    Rule("format", Action.FAIL, "No usable format was offered.", _UPGRADE,
         (r"requested format is not available", r"no video formats found", r"failed to extract any player response",
          r"no formats that can be downloaded", r"cannot be partially downloaded", r"extracted extension"), environment=True),
    Rule("no_js_runtime", Action.FAIL, "yt-dlp found no JavaScript runtime that solves YouTube's challenges.",
         "install deno, and yt-dlp-ejs beside yt-dlp; `reelmill doctor` says what is found", _JS_WORDS,
         frozenset({"JsChallengeProviderError"}), environment=True),
    Rule("fragments", Action.RETRY, "Parts of the video are empty or missing.",
         "it is fetched anew by itself; if it happens again, upgrade yt-dlp",
         (r"downloaded file is empty", r"fragment \S* ?not found", r"initialization fragment", r"update fragments",
          r"open fragment", r"no media found"), waits=(60.0, 600.0)),
    Rule("incomplete", Action.RETRY, "YouTube's answer was incomplete.", "it is tried again by itself",
         (r"incomplete (yt initial )?data", r"without a successful webpage download", r"unknown error", r"something went wrong",
          r"an? (unknown )?error (has )?occurred", r"remaining entries", r"(backend|internal) error",
          r"error reading response"), waits=(60.0, 600.0)),
    Rule("partial_conflict", Action.RESTART, "What was half fetched does not fit any more.", "it is fetched anew",
         (r"http error 416", r"range not satisfiable"), statuses=frozenset({416})),
    Rule("forbidden", Action.RETRY, "YouTube refuses the media (403).", _UPGRADE,
         (r"http error 403", r"caller does not have permission"),
         statuses=frozenset({401, 403}), waits=(30.0, 300.0), environment=True),
    Rule("gone", Action.RETRY, "The address is not there (404).", "check it in a browser",
         (r"http error (404|410)", r"requested entity was not found"),
         statuses=frozenset({404, 410}), waits=(30.0,)),
    Rule("server", Action.RETRY, "The site has trouble of its own.", "it is tried again by itself",
         (r"http error 5\d\d",), statuses=frozenset(range(500, 600))),
    Rule("certificate", Action.PAUSE, "A certificate is not accepted.",
         "check this machine's clock and certificates; behind a proxy that inspects traffic, point SSL_CERT_FILE at its own",
         (r"certificate.verify.failed", r"certificate has expired", r"issuer certificate"),
         frozenset({"CertificateVerifyError"}), pause=600.0),
    Rule("dns", Action.PAUSE, "No name can be looked up: the network is down, or its name server.",
         "check the network",
         (r"name or service not known", r"name resolution", r"getaddrinfo failed", r"nodename nor servname",
          r"no address associated"), pause=120.0),
    Rule("proxy", Action.PAUSE, "The proxy does not answer or refuses.", "check [youtube] proxy",
         (r"unable to connect to proxy", r"proxy authentication", r"proxy .*missing scheme", r"invalid proxy url",
          r"proxy type", r"proxy is not supported", r"https proxy for"), frozenset({"ProxyError"}), pause=300.0),
    Rule("bad_option", Action.FAIL, "yt-dlp does not accept one of its settings.", "correct [youtube.options]",
         (r"unsupported language code", r"login with (oauth|password)", r"no player clients", r"urls are disabled",
          r"(format|filter) (sort|spec)", r"client certificate", r"output template", r"netrc machine",
          r"unsupported (url scheme|extensions|impersonate target)", r"no request handlers"),
         frozenset({"UnsupportedRequest", "NoSupportingHandlers", "SameFileError", "UnsafeExecExpansionError"}),
         environment=True),
    Rule("tool_failed", Action.RETRY, "A program or library that yt-dlp needs for this is missing or failed.",
         "install what the last line names; `reelmill doctor` says what is there",
         (r"exited with code", r"could not be run", r"another downloader", r"following dependencies", r"rtmp server",
          r"impersonate target"), waits=(60.0,)),
    Rule("network", Action.RETRY, "The connection broke or stood still.", "it is tried again by itself",
         (r"timed out", r"connection (reset|refused|aborted|broken)", r"remote end closed", r"bytes read", r"incomplete ?read",
          r"did not get any data blocks", r"network is unreachable", r"no route to host", r"content too short",
          r"legacy-server-connect", r"network error has occurred", r"unable to download video (data|subtitles)", r"got error:"),
         frozenset({"TransportError", "IncompleteRead", "SSLError", "ContentTooShortError", "ConnectionError",
                    "TimeoutError"}), environment=True, pause=120.0),
    Rule("api_refused", Action.RETRY, "YouTube does not accept yt-dlp's request (400).", _UPGRADE,
         (r"http error [34]\d\d", r"precondition check failed", r"request contains an invalid argument"),
         statuses=frozenset(range(300, 500)), waits=(60.0, 600.0), environment=True),
    Rule("unavailable", Action.RETRY, "YouTube says that the video is unavailable.",
         "check it in a browser; if it plays there, `reelmill retry --class unavailable`",
         (r"(video|content) (is )?unavailable", r"(video|content) (is not|isn't) available"), waits=(_DAY,)),
    Rule("bad_ref", Action.FAIL, "The address names no video.", "copy it again from the browser",
         (r"unsupported url", r"not a valid url", r"looks truncated", r"incomplete youtube id", r"without video id",
          r"unable to find video id", r"forget to quote the url", r"no suitable extractor", r"redirect url"),
         frozenset({"UnsupportedError"})),
)  # fmt: skip
BROKEN = Rule("extractor_broken", Action.FAIL, "yt-dlp could not read the page.", _UPGRADE, environment=True)
UNKNOWN = Rule("unknown", Action.RETRY, "The download failed for a reason that is not known here.",
               "read the last line; `reelmill retry --class unknown` tries again", waits=(60.0, 600.0))  # fmt: skip
#: The row of a worker that stood still or died: the connection is the usual culprit.
STALLED = next(rule for rule in TABLE if rule.code == "network")


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """The row that fits, with the trouble of one item."""

    rule: Rule
    trouble: Trouble
    countries: tuple[str, ...] = field(default=())


def classify(failure: DownloadFailure) -> FailureVerdict:
    """Return the verdict on a failure. Total: whatever fits no row is unknown."""
    rule = next((each for each in TABLE if _fits(each, failure)), None)
    if rule is None and _warned(failure, ("cookies are no longer valid",)):
        rule = find_rule("cookies_bad")
    if rule is not None and rule.code == "format" and _warned(failure, _JS_WORDS):
        rule = find_rule("no_js_runtime")
    if rule is None:
        broken = any(cause.expected is False and "ExtractorError" in cause.kinds for cause in failure.causes)
        rule = BROKEN if broken else UNKNOWN
    countries = tuple(sorted({code for cause in failure.causes for code in cause.countries}))
    return FailureVerdict(rule, build_trouble(rule, failure.raw, countries), countries)


def find_rule(code: str) -> Rule:
    """Return the row of a code; KeyError if there is none."""
    for rule in (*TABLE, BROKEN, UNKNOWN):
        if rule.code == code:
            return rule
    raise KeyError(code)


def build_trouble(rule: Rule, raw: str = "", countries: Sequence[str] = ()) -> Trouble:
    """Return a row as a trouble, with the site's raw line as its detail."""
    message = rule.message
    if countries:
        shown = ", ".join(countries[:8]) + (" …" if len(countries) > 8 else "")
        message = f"{message[:-1]}; it is in {shown}."
    return Trouble(rule.code, message, rule.remedy.format(code=rule.code), raw[:500])


def parse_failure(event: Mapping[str, Any], *, download: bool = False) -> DownloadFailure:
    """Parse a worker's ``failed`` event; whatever is missing is empty."""
    chain = event.get("chain")
    causes = tuple(_cause(each) for each in chain if isinstance(each, dict)) if isinstance(chain, list) else ()
    warnings = event.get("warnings")
    return DownloadFailure(causes, download, tuple(map(str, warnings)) if isinstance(warnings, list) else ())


def _cause(data: Mapping[str, Any]) -> Cause:
    return Cause(
        type=str(data.get("type") or ""),
        kinds=tuple(map(str, data.get("kinds") or ())),
        message=str(data.get("message") or ""),
        expected=data.get("expected"),
        status=data.get("status") if isinstance(data.get("status"), int) else None,
        errno=data.get("errno") if isinstance(data.get("errno"), int) else None,
        countries=tuple(map(str, data.get("countries") or ())),
    )


def _fits(rule: Rule, failure: DownloadFailure) -> bool:
    if rule.download is not None and rule.download is not failure.download:
        return False
    for cause in failure.causes:
        if rule.kinds.intersection((cause.type, *cause.kinds)):
            return True
        if cause.status in rule.statuses or cause.errno in rule.errnos:
            return True
    return any(re.search(word, failure.text) for word in rule.words)


def _warned(failure: DownloadFailure, words: Sequence[str]) -> bool:
    return any(re.search(word, _plain(warning)) for word in words for warning in failure.warnings)


def _plain(text: str) -> str:
    return text.replace("\u2019", "'").replace("\u2018", "'").lower()
