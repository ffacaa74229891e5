"""Every class of failure there is, end to end: the real yt-dlp meets it, ``why`` explains it, ``retry --class`` finds it."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from pipeline import app
from pipeline.config.settings import Settings, load
from pipeline.core.model import State
from pipeline.present.tables.show import why_table
from pipeline.source.youtube.failures import BROKEN, TABLE, UNKNOWN, Action, find_rule
from pipeline.views import ItemView, RunReport
from tests.support.site import MediaServer, interpreter

#: What the site says of a video of each class. ``!`` in front: an exception that yt-dlp raises by itself.
SAID = {
    "too_large": "!TooLarge('The download grew too large')",
    "age_restricted": "Sign in to confirm your age. This video may be inappropriate for some users.",
    "name_too_long": "unable to open for writing: [Errno 36] File name too long: 'x.part'",
    "restricted": "This video is restricted. Please check the Google Workspace administrator",
    "list_missing": "YouTube said: The playlist does not exist.",
    "no_tab": "This channel does not have a streams tab",
    "list_not_viewable": "YouTube said: This playlist type is unviewable.",
    "members_only": "Join this channel to get access to members-only content like this video",
    "client_blocked": "The following content is not available on this app. Watch on the latest version",
    "private": "Private video. Sign in if you have been granted access to this video",
    "paid": "This video requires payment to watch",
    "extractor_broken": "!ExtractorError('Unable to extract yt initial data')",
    "drm": "This video is DRM protected",
    "geo": "The uploader has not made this video available in your country",
    "blocked": "Playback on other websites has been disabled by the video owner",
    "forbidden": "HTTP Error 403: Forbidden",
    "upcoming": "Premieres in 2 hours",
    "live": "Live DASH videos are not supported",
    "live_offline": "This live event has ended.",
    "not_live": "The channel is not currently live",
    "processing": "We're processing this video. Check back later.",
    "ffmpeg_missing": "You have requested merging of multiple formats but ffmpeg is not installed. Aborting",
    "merge_failed": "Postprocessing: Conversion failed!",
    "live_gone": "This live stream recording is not available.",
    "sign_in": "Please sign in",
    "removed": "This video has been removed by the uploader",
    "format": "!ExtractorError('Requested format is not available', expected=True)",
    "fragments": "fragment 17 not found, unable to continue",
    "no_js_runtime": "Failed to load player for JS challenge: x",
    "incomplete": "Incomplete data received",
    "partial_conflict": "HTTP Error 416: Requested range not satisfiable",
    "gone": "HTTP Error 404: Not Found",
    "server": "HTTP Error 503: Service Unavailable",
    "bad_option": "Unsupported language code: xx",
    "tool_failed": "ffmpeg exited with code 1",
    "api_refused": "HTTP Error 400: Bad Request",
    "network": "The read operation timed out",
    "unavailable": "Video unavailable",
    "bad_ref": "!ExtractorError('Incomplete YouTube ID x', expected=True)",
    "unknown": "Something that nobody has ever seen",
}
PAUSES = {
    "disk": "unable to write data: [Errno 28] No space left on device",
    "network_blocked": "Access to this webpage has been blocked by Websense filtering software in your network.",
    "certificate": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
    "bot_check": "Sign in to confirm you\u2019re not a bot",
    "rate_limited": "This content isn't available, try again later",
    "ip_blocked": "Your IP is likely being blocked by Youtube",
    "cookies_bad": "The provided YouTube account cookies are no longer valid",
    "dns": "[Errno -3] Temporary failure in name resolution",
    "proxy": "Unable to connect to proxy",
}
_RAISES = """
from yt_dlp.utils import ExtractorError
class TooLarge(Exception):
    pass
keep = v.YoutubeIE._initial_extract
def see(self, *a):
    said = self._download_json(BASE + "/player/" + a[-1], a[-1], note=False)["playabilityStatus"].get("reason") or ""
    if said.startswith("!"):
        raise eval(said[1:], globals())
    return keep(self, *a)
v.YoutubeIE._initial_extract = see
"""


def settings_of(folder: Path, site: MediaServer) -> Settings:
    """Return settings under which nothing is waited for, and one video is asked for after the other."""
    file = folder / "reelmill.toml"
    file.write_text(
        f'[run]\nstate = "state"\noutput = "out"\n[provider]\nkind = "local"\n[lanes]\ndownload = 1\n[limits]\npatience = 1\n'
        f'[policy]\nattempts = 1\nretry_most = 1\n[youtube]\npython = "{interpreter(folder, site, _RAISES)}"\n'
        f'min_gap = 0\nmax_gap = 0\npace_folder = "pace"\n'
    )
    return load(file, {})


def video_of(code: str) -> str:
    """Return the id of the video that meets this class."""
    return (code + "___________")[:11]


def ran(settings: Settings, *sources: str) -> RunReport:
    """Run over the sources, in this process."""
    return anyio.run(app.run, settings, sources)


def told(settings: Settings, video: str) -> tuple[ItemView, list[str]]:
    """Return what is known of a video, and the lines that ``why`` shows."""
    view = anyio.run(app.show, settings, video)
    console = Console(file=io.StringIO(), width=1000, color_system=None)
    console.print(why_table(view))
    return view, [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_every_class_is_here() -> None:
    """A new row of the table needs a sentence of its own here."""
    codes = {rule.code for rule in (*TABLE, BROKEN, UNKNOWN)}
    assert codes == set(SAID) | set(PAUSES)
    assert {code for code in codes if find_rule(code).action is Action.PAUSE} == set(PAUSES)


@pytest.mark.slow
def test_each_class_of_a_video_has_its_sentence_its_step_and_its_raw_line(site: MediaServer, tmp_path: Path) -> None:
    """One run meets them all, none stops another; each can be asked about, and tried again by its class alone."""
    settings = settings_of(tmp_path, site)
    for code, said in SAID.items():
        site.refuse(video_of(code), "ERROR", said)
    report = ran(settings, *map(video_of, SAID))
    assert (report.exit_code, report.items["done"], len(SAID)) == (
        3,
        0,
        report.items["failed"] + report.items["working"],
    )
    for code, said in SAID.items():
        rule = find_rule(code)
        view, lines = told(settings, video_of(code))
        (task,) = view.tasks
        later = rule.action is Action.LATER or bool(rule.waits)
        assert (task.state, code) == (State.PENDING if later else State.FAILED, code)
        assert rule.message.rstrip(".") in lines[0], code
        assert ("The next `reelmill run`" if later else rule.remedy.format(code=code)[:30]) in lines[1], code
        assert lines[-1].startswith(f"raw: {code}: "), code
        raw = said.split("'")[1] if said.startswith("!") else said
        assert raw[:40] in lines[-1], code
        assert anyio.run(app.retry, settings, [], [code]).tasks == 1, code
        again = told(settings, video_of(code))[0].tasks[0]
        assert again.state is State.PENDING
        assert again.wake_at is not None
        assert again.wake_at <= report.ended + 60
    assert anyio.run(app.retry, settings, [], ["private"]).tasks == 0


@pytest.mark.slow
def test_each_class_that_pauses_youtube_says_until_when_and_is_opened_by_its_class(
    site: MediaServer, tmp_path: Path
) -> None:
    """The run ends with the reason, the number that waits and the time; ``retry --class`` lets the next one ask."""
    settings = settings_of(tmp_path, site)
    for code, said in PAUSES.items():
        site.refuse(video_of(code), "ERROR", said)
        report = ran(settings, video_of(code))
        rule = find_rule(code)
        assert (report.exit_code, code) == (6, code)
        assert rule.message.rstrip(".") in report.note
        assert "1 item waits. Run again after" in report.note
        _, lines = told(settings, video_of(code))
        assert rule.message.rstrip(".") in lines[0], code
        assert "`reelmill run` after" in lines[1]
        assert lines[-1].startswith(f"raw: {code}: "), code
        asked = len(site.asked)
        assert ran(settings, video_of(code)).exit_code == 6
        assert len(site.asked) == asked
        assert anyio.run(app.retry, settings, [], ["private"]).tasks == 0
        assert ran(settings, video_of(code)).exit_code == 6
        assert len(site.asked) == asked
        assert anyio.run(app.retry, settings, [], [code]).tasks >= 1
        anyio.run(app.cancel, settings, [video_of(code)])
