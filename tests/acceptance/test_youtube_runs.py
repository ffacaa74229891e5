"""Whole runs over YouTube lines: the command, the real yt-dlp, the local platform, a site on loopback."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_cli_help import reelmill
from tests.support.cli import command
from tests.support.site import Blob, MediaServer, captions, entry, interpreter

V, W = "dQw4w9WgXcQ", "second00001"
L = "PLBB231211A4F62143"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nThe tide rises twice a day\n\n00:02.000 --> 00:04.500\nand falls in between\n"


@dataclass
class Place:
    """A folder with a configuration, in which runs follow one another."""

    folder: Path

    def run(self, *sources: str, code: int = 0) -> dict[str, Any]:
        """Run the command over the sources and return its report."""
        ran = command(self.folder, "run", "--config", "reelmill.toml", "--json", *sources)
        assert ran.code == code, ran.out + ran.err
        found: dict[str, Any] = ran.json
        return found

    def tell(self, *args: str) -> str:
        """Return what another command says."""
        return command(self.folder, *args, "--config", "reelmill.toml").out

    def tasks(self, kind: str) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return state and data of all tasks of a kind, by key."""
        with sqlite3.connect(f"file:{self.folder / 'state' / 'reelmill.db'}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT key, state, data FROM task WHERE kind = ?", (kind,)).fetchall()
        database.close()
        return {key: (state, json.loads(data)) for key, state, data in rows}

    def fetched(self) -> list[str]:
        """Return the media files that still lie in the state folder."""
        return sorted(path.name for path in (self.folder / "state" / "work").rglob("*.mp4"))


def place(folder: Path, site: MediaServer, more: str = "", youtube: str = "", more_python: str = "") -> Place:
    """Make a configuration that takes YouTube's answers from the site."""
    python = interpreter(folder, site, more_python)
    youtube = youtube if "pace_folder" in youtube else f'pace_folder = "pace"\n{youtube}'
    (folder / "reelmill.toml").write_text(
        f'[run]\nstate = "state"\noutput = "out"\n[provider]\nkind = "local"\npoll_spacing = 0.2\n[jobs]\nenabled = ["gist"]\n'
        f'[youtube]\npython = "{python}"\nmin_gap = 0.0\nmax_gap = 0.0\n{youtube}\n{more}\n'
    )
    return Place(folder)


@pytest.mark.slow
def test_a_line_is_fetched_uploaded_analysed_and_its_copy_removed(site: MediaServer, tmp_path: Path) -> None:
    """One video by two names is one upload; captions lie beside the results; a second run asks nobody anything."""
    site.video(V, captions=captions(site.base + "/caption"))
    site.files["/caption"] = Blob(VTT.encode(), "text/vtt")
    here = place(tmp_path, site)
    lines = f"https://youtu.be/{V}?si=abc", f"https://www.youtube.com/watch?v={V}&t=10"
    ran = reelmill("run", "--config", "reelmill.toml", "--json", *lines, cwd=tmp_path)  # as a process, once
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(ran.stdout)
    assert (report["items"]["done"], report["published"], report["duplicates"]) == (1, 1, 1)
    assert list(here.tasks("video")) == [f"youtube:video:{V}"]
    assert here.fetched() == []
    (folder,) = [path for path in (tmp_path / "out").glob("*--*") if path.is_dir()]
    card = json.loads((folder / "video.json").read_text())
    assert (card["title"], card["sources"][0]["locator"]) == (f"Video {V}", f"https://www.youtube.com/watch?v={V}")
    assert card["sources"][0]["about"]["channel_id"] == "UCqECaJ8Gagnn7YCbPEzWH6g"
    assert (folder / "captions.vtt").read_text() == VTT
    asked = len(site.asked)
    assert here.run(f"https://www.youtube.com/shorts/{V}")["analyses"] == 0
    assert len(site.asked) == asked


@pytest.mark.slow
def test_on_v1_2_the_embedded_platform_fetches_the_line_itself(site: MediaServer, tmp_path: Path) -> None:
    """The address is handed over once, comes back with its title and answered questions, and no copy is left."""
    site.video(V, captions=captions(site.base + "/caption"))
    site.files["/caption"] = Blob(VTT.encode(), "text/vtt")
    here = place(tmp_path, site)
    config = tmp_path / "reelmill.toml"
    config.write_text(config.read_text().replace('kind = "local"', 'kind = "local"\napi = "v1.2"'))
    report = here.run(V)
    assert (report["items"]["done"], report["published"]) == (1, 1)
    with sqlite3.connect(f"file:{tmp_path / 'state' / 'platform' / 'platform.sqlite3'}?mode=ro", uri=True) as database:
        effects = [effect for (effect,) in database.execute("SELECT effect FROM ledger")]
        (name,) = (name for (name,) in database.execute("SELECT filename FROM videos"))
    database.close()
    assert (effects.count("external_task_created"), effects.count("indexed"), name) == (1, 1, f"Video {V}")
    assert list((tmp_path / "state" / "platform" / "fetched").iterdir()) == []
    assert here.fetched() == []


@pytest.mark.slow
def test_on_v1_2_a_refusal_is_the_items_own_class_and_a_premiere_comes_back(site: MediaServer, tmp_path: Path) -> None:
    """What the platform behind could not fetch says why, in our words; what is not there yet is due when it is."""
    site.refuse(V, "LIVE_STREAM_OFFLINE", "Premieres in 3 days")
    site.refuse(W, "LOGIN_REQUIRED", "Private video. Sign in if you have been granted access to this video")
    here = place(tmp_path, site)
    config = tmp_path / "reelmill.toml"
    config.write_text(config.read_text().replace('kind = "local"', 'kind = "local"\napi = "v1.2"'))
    report = here.run(V, W, code=3)
    assert (report["items"]["failed"], report["items"]["working"]) == (1, 1)
    assert report["resume_at"] is not None
    assert "The video is private." in " ".join(here.tell("why", W).split())
    assert "has not been shown yet" in " ".join(here.tell("why", V).split())
    site.video(W)
    assert here.tell("retry", "--class", "private") == "1 task set to be retried at the next run\n"
    assert here.run(V, W, code=6)["items"]["done"] == 1


@pytest.mark.slow
def test_the_provider_reaches_yt_dlp_itself(site: MediaServer, tmp_path: Path) -> None:
    """What the configuration names arrives in the extractor of the process that asks YouTube."""
    site.video(V)
    seen = tmp_path / "seen.json"
    more = "keep = v.YoutubeIE._initial_extract\ndef see(self, *a):\n    args = self._downloader.params['extractor_args']\n"
    more += f"    open({str(seen)!r}, 'w').write(json.dumps(args))\n    return keep(self, *a)\n"
    more += "v.YoutubeIE._initial_extract = see"
    here = place(tmp_path, site, youtube='pot_provider = "http://127.0.0.1:4416"\nplugins = true', more_python=more)
    here.run(V)
    assert json.loads(seen.read_text())["youtubepot-bgutilhttp"] == {"base_url": ["http://127.0.0.1:4416"]}


@pytest.mark.slow
def test_kept_copies_stay(site: MediaServer, tmp_path: Path) -> None:
    """``keep = true`` leaves the file where it is."""
    site.video(V)
    here = place(tmp_path, site, more="[fetch]\nkeep = true")
    here.run(V)
    assert here.fetched() == [f"{V}.18.mp4"]


@pytest.mark.slow
def test_one_plain_sentence_says_why_and_a_class_can_be_tried_again(site: MediaServer, tmp_path: Path) -> None:
    """A members-only video fails alone, ``why`` tells it in words, and ``retry --class`` starts it when cookies are there."""
    site.refuse(V, "UNPLAYABLE", "Join this channel to get access to members-only content like this video")
    site.video(W)
    here = place(tmp_path, site)
    report = here.run(V, W, code=3)
    assert (report["items"]["done"], report["items"]["failed"]) == (1, 1)
    said = here.tell("why", f"https://youtu.be/{V}")
    assert "Only members of the channel may see the video." in said
    assert "cookies" in said
    site.video(V)
    here.tell("retry", "--class", "members_only")
    assert here.run(V, W)["items"]["done"] == 2


@pytest.mark.slow
def test_a_night_without_a_network_ends_and_says_until_when(site: MediaServer, tmp_path: Path) -> None:
    """No name can be looked up: after its patience the run parks YouTube, does the rest, and ends with exit code 6."""
    from tests.support.media import film

    film(tmp_path / "own.mp4", 5)
    site.refuse(V, "ERROR", "[Errno -3] Temporary failure in name resolution")
    here = place(tmp_path, site, youtube="patience = 1")
    report = here.run(V, "own.mp4", code=6)
    assert (report["items"]["done"], report["items"]["working"]) == (1, 1)
    assert report["this_run"]["waiting"]["count"] == 1
    assert "the network is down" in report["note"]
    assert "1 item waits. Run again after" in report["note"]
    assert report["note"].count("Z") == 1, report["note"]  # the time, once
    assert "by itself" not in report["note"]
    assert "everything else goes on" not in report["note"]
    assert "name resolution" not in report["note"]  # the raw words are for `why` and the log
    assert report["resume_at"] is not None


@pytest.mark.slow
def test_on_v1_2_a_night_without_a_network_ends_as_well(site: MediaServer, tmp_path: Path) -> None:
    """There the local platform fetches: the address is handed over again later than any run waits for, and exit is 6."""
    site.refuse(V, "ERROR", "[Errno -3] Temporary failure in name resolution")
    here = place(tmp_path, site, youtube="patience = 1")
    config = tmp_path / "reelmill.toml"
    config.write_text(config.read_text().replace('kind = "local"', 'kind = "local"\napi = "v1.2"'))
    report = here.run(V, code=6)
    assert (report["items"]["working"], report["this_run"]["waiting"]["count"]) == (1, 1)
    assert report["resume_at"] is not None
    assert "the network is down" in report["note"]
    assert "Run again after" in report["note"]
    assert "the network is down" in " ".join(here.tell("why", V).split())


@pytest.mark.slow
def test_a_bot_check_pauses_youtube_alone_and_the_next_run_knows(site: MediaServer, tmp_path: Path) -> None:
    """Files go through, the run ends with the time to resume, and a run started too early asks YouTube nothing."""
    from tests.support.media import film

    film(tmp_path / "own.mp4", 5)
    site.refuse(V, "LOGIN_REQUIRED", "Sign in to confirm you\u2019re not a bot")
    site.video(W)
    here = place(tmp_path, site, more="[lanes]\ndownload = 1")
    report = here.run(V, W, "own.mp4", code=6)
    assert (report["items"]["done"], report["items"]["working"]) == (1, 2)
    assert "bot check" in report["note"]
    assert "2 items wait. Run again after" in report["note"]
    assert report["resume_at"] is not None
    assert "2 items wait" in here.tell("status")
    assert "YouTube is left alone until" in here.tell("doctor")
    asked = len(site.asked)
    again = here.run(V, W, "own.mp4", code=6)
    assert "bot check" in again["note"]
    assert len(site.asked) == asked
    site.video(V)
    here.tell("retry", "--class", "bot_check")
    assert here.run(V, W, "own.mp4")["items"]["done"] == 3


@pytest.mark.slow
def test_a_refusal_is_one_for_all_state_folders_of_the_machine(site: MediaServer, tmp_path: Path) -> None:
    """What one collection met keeps another from asking; opened by hand, it goes on, and the first one too."""
    site.refuse(V, "LOGIN_REQUIRED", "Sign in to confirm you\u2019re not a bot")
    site.video(W)
    here = place(tmp_path, site)
    here.run(V, code=6)
    (tmp_path / "second").mkdir()
    there = place(tmp_path / "second", site, youtube=f'pace_folder = "{tmp_path / "pace"}"')
    asked = len(site.asked)
    assert "bot check" in there.run(W, code=6)["note"]
    assert len(site.asked) == asked
    site.video(V)
    assert "download: open again" in there.tell("retry", "--parked")
    assert there.run(W)["items"]["done"] == 1
    assert here.tell("retry", "--parked") == "download: open again at the next run; 1 task due at once\n"
    assert here.tell("retry", "--parked") == "nothing is parked\n"
    assert here.run(V)["items"]["done"] == 1


@pytest.mark.slow
def test_a_premiere_does_not_hold_a_run_up(site: MediaServer, tmp_path: Path) -> None:
    """It is looked at again by a later run; this one ends when the rest is done, and says when."""
    site.refuse(V, "LIVE_STREAM_OFFLINE", "Premieres in 3 days")
    site.video(W)
    here = place(tmp_path, site)
    report = here.run(V, W, code=6)
    assert (report["items"]["done"], report["items"]["working"]) == (1, 1)
    assert "has not been shown yet" in " ".join(here.tell("why", V).split())


@pytest.mark.slow
def test_a_playlist_is_a_subscription(site: MediaServer, tmp_path: Path) -> None:
    """The first night fetches all that is wanted, the second only what is new, and what has gone is kept and told."""
    for video in (V, W, "third000001"):
        site.video(video, seconds=4 + len(video[:3]) + ord(video[0]) % 3)
    site.lists[L] = {"title": "Tides", "entries": [entry(V), entry(W), entry("trailer0001", title="Trailer"), entry(V)]}
    here = place(tmp_path, site, youtube='[youtube.lists]\nexclude = ["trailer"]')
    address = f"https://www.youtube.com/playlist?list={L}"
    assert here.run(address)["items"]["done"] == 2
    assert sorted(here.tasks("item")) == sorted([f"youtube:video:{V}", f"youtube:video:{W}"])
    asked = len(site.asked)
    assert here.run(address)["analyses"] == 0
    assert site.asked[asked:] == [f"/list/{L}"]
    site.lists[L]["entries"] = [entry("third000001"), entry(W), entry("trailer0001", title="Trailer")]
    report = here.run(address)
    assert (report["items"]["done"], report["analyses"]) == (3, 1)
    ((state, data),) = here.tasks("listing").values()
    assert (state, data["gone"], data["title"]) == ("done", [V], "Tides")


@pytest.mark.slow
def test_the_exact_day_and_length_decide_where_the_list_tells_them_roughly(site: MediaServer, tmp_path: Path) -> None:
    """What turns out too old or too long is skipped with its reason, not fetched, and not looked at the next night."""
    old, long, good = "old00000001", "long0000001", "good0000001"
    for video, day, seconds in ((old, "2025-12-30", 5.0), (long, "2026-03-01", 9.0), (good, "2026-03-01", 5.0)):
        site.video(video, seconds=seconds)
        site.players[video]["microformat"]["playerMicroformatRenderer"]["uploadDate"] = day
    about = {"timestamp": 1_780_000_000}  # the list says spring 2026 of all three, and no length
    entries = [{"id": video, "title": video, **about} for video in (old, long, good)]
    site.lists[L] = {"title": "Tides", "entries": entries}
    rules = '[youtube.lists]\nsince = "2026-01-31"\nmax_seconds = 6'
    here = place(tmp_path, site, youtube=rules)
    address = f"https://www.youtube.com/playlist?list={L}"
    assert here.run(address)["published"] == 1
    assert site.count("/media/") == site.count(f"/media/{good}") == 1
    assert "It was skipped. It was published on 2025-12-30, before 2026-01-31." in here.tell("why", old)
    assert "It is 9 s long; its list takes 6 s at most." in here.tell("why", long)
    asked = len(site.asked)
    here.run(address)
    assert site.asked[asked:] == [f"/list/{L}"]
    assert here.run(old)["published"] == 1


@pytest.mark.slow
def test_a_handle_is_all_tabs_of_its_channel_and_a_line_may_narrow_it(site: MediaServer, tmp_path: Path) -> None:
    """Nested lists are flattened; ``last`` on the line takes the newest; the channel's id is remembered for next time."""
    site.video(V)
    tabs = [{"entries": [entry(V)]}, {"entries": [entry(W)]}]
    site.lists["@Tides"] = {"title": "Tides", "channel_id": "UCqECaJ8Gagnn7YCbPEzWH6g", "entries": tabs}
    site.lists["UUqECaJ8Gagnn7YCbPEzWH6g"] = {"title": "Uploads", "entries": [entry(V), entry(W)]}
    (tmp_path / "nightly.csv").write_text("source,metadata.last\nhttps://www.youtube.com/@Tides,1\n")
    here = place(tmp_path, site)
    assert here.run("nightly.csv")["items"]["done"] == 1
    here.run("nightly.csv")
    assert [path for path in site.asked if path.startswith("/list")] == [
        "/list/@Tides",
        "/list/UUqECaJ8Gagnn7YCbPEzWH6g",
    ]


@pytest.mark.slow
def test_what_the_platform_has_lost_is_fetched_once_more(site: MediaServer, tmp_path: Path) -> None:
    """Our copy is gone, the platform's too: a new wish downloads and uploads again, instead of failing for ever."""
    import shutil

    content = site.video(V)
    here = place(tmp_path, site)
    here.run(V)
    shutil.rmtree(tmp_path / "state" / "platform")
    text = (tmp_path / "reelmill.toml").read_text().replace('["gist"]', '["gist", "summary"]')
    (tmp_path / "reelmill.toml").write_text(text)
    assert here.run(V)["items"]["done"] == 1
    assert site.count("/media/") == 2
    assert len(content) > 1000
    assert here.fetched() == []
