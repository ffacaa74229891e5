"""The textfile: what it says, read by Prometheus' own parser, and that it is there as a whole or not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.app.watch.gauges import read_gauges
from pipeline.app.watch.textfile import write_textfile
from pipeline.core.model import Parked, Trouble
from pipeline.watch.metrics import Family, render
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced

GAUGES = render([Family("items", "Items by state.", [(("done",), 3.0)], ("state",))])


LABELS = ("lane", "cause", "group", "window", "state")


def rows(content: bytes) -> dict[str, float]:
    """Return the samples of a textfile by name and labels."""
    return {
        sample.name + "".join(f"/{sample.labels[name]}" for name in LABELS if name in sample.labels): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def test_the_gauges_are_what_the_database_says(tmp_path: Path) -> None:
    """Outcome, items, money, waits; limits only where they are set, a pause only where there is one."""
    life = Life.at(tmp_path, **priced(budget={"max_usd_per_day": 7.0}))

    async def scene() -> tuple[dict[str, float], dict[str, float], float]:
        report = await life.run(items(clips(tmp_path, 2)))
        now = life.clock.now()
        good = rows(await read_gauges(life.settings, life.database, report.exit_code, now))
        assert good["reelmill_last_success_timestamp_seconds"] == report.ended
        assert (good["reelmill_usd/run"], good["reelmill_usd/day"]) == pytest.approx(
            (report.usd, report.usd), abs=1e-6
        )  # the history rounds
        await life.database.save("limits", {"analyze": {"windows": {"requests_per_minute": {str(int(now)): 5.0}}}})
        await life.database.park(Parked("analyze", now + 60, Trouble("rate_limited", "Too fast.")), now)
        return good, rows(await read_gauges(life.settings, life.database, 6, now)), now

    good, parked, now = run_virtual(scene())
    assert (good["reelmill_last_exit_code"], parked["reelmill_last_exit_code"]) == (0, 6)
    assert (good["reelmill_items/done"], good["reelmill_items/failed"]) == (2, 0)
    assert good["reelmill_usd_limit/day"] == 7.0
    assert good["reelmill_analyses_total"] == 2
    assert (good["reelmill_doubtful_total"], good["reelmill_oldest_pending_seconds"]) == (0, 0)
    assert good["reelmill_usd/total"] == good["reelmill_usd/month"] == good["reelmill_usd/day"] > 0
    assert parked["reelmill_quota_used_ratio/analyze/requests_per_minute"] == 0.5  # of the ten that are the default
    more = {name for name in parked if not name.startswith("reelmill_quota_used_ratio/")} - set(good)
    assert more == {"reelmill_parked_until_seconds/analyze/rate_limited"}
    assert parked["reelmill_parked_until_seconds/analyze/rate_limited"] == now + 60


def test_hostile_words_stay_inside_their_label() -> None:
    """A cause with quotes and line ends makes one row, not two."""
    name = 'a"b\\c\nreelmill_items{state="done"} 9'
    content = render([Family("parked_until_seconds", "x", [(("analyze", name), 1.0)], ("lane", "cause"))])
    assert rows(content) == {f"reelmill_parked_until_seconds/analyze/{name}": 1.0}


def test_it_is_written_and_written_again(tmp_path: Path) -> None:
    """Readable by the collector's own user, whatever the umask; nothing else stays in the folder."""
    path = tmp_path / "reelmill.prom"
    path.touch()  # an empty one that somebody made beforehand is taken over
    before = os.umask(0o077)
    try:
        assert write_textfile(path, b"# HELP reelmill_items old\n") == ""
        assert write_textfile(path, GAUGES) == ""
    finally:
        os.umask(before)
    assert path.read_bytes() == GAUGES
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["reelmill.prom"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Another program's metrics, a folder, a link, a pipe: said, and left as they are."""
    (tmp_path / "foreign.prom").write_bytes(b"# HELP node_load1 x\n")
    (tmp_path / "folder.prom").mkdir()
    (tmp_path / "link.prom").symlink_to(tmp_path / "foreign.prom")
    os.mkfifo(tmp_path / "pipe.prom")
    for path in sorted(tmp_path.iterdir()):
        assert "something that is not ours is in the way" in write_textfile(path, GAUGES)
    assert (tmp_path / "foreign.prom").read_bytes() == b"# HELP node_load1 x\n"
    assert (tmp_path / "link.prom").is_symlink()
    assert len(os.listdir(tmp_path)) == 4


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is not made: a collector reads where it was told to."""
    assert (
        write_textfile(tmp_path / "gone" / "reelmill.prom", GAUGES)
        == "its folder does not exist: make it, or choose another"
    )


def test_a_disk_without_room_keeps_the_old_file(tmp_path: Path) -> None:
    """The error is raised for the caller to tell, the old content stays, and no half of a new one lies about."""
    path = tmp_path / "reelmill.prom"
    write_textfile(path, GAUGES)
    with room_for(10), pytest.raises(OSError, match="large"):
        write_textfile(path, GAUGES * 2)
    assert path.read_bytes() == GAUGES
    assert os.listdir(tmp_path) == ["reelmill.prom"]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
