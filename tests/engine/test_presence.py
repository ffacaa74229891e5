"""Presence: one process by one name, whoever dies, freezes, moves or is copied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from pipeline.app.wiring.agreement import share_output
from pipeline.core.errors import Busy, ConfigError
from pipeline.core.model import Trouble
from pipeline.engine.hosts import BEAT, SILENT, Host, Presence, find_hosts, forget_host
from tests.support.clock import VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase

ONE = Host("one", "1f", "seat", "boot1", "0.1.0", "run")


def test_a_host_gives_signs_and_says_goodbye() -> None:
    """Others see when it was last there, and its trouble; one that ended is not there, one that is silent is not either."""

    async def scenario() -> None:
        database, clock = MemoryDatabase(), VirtualClock()
        presence = Presence(database, clock, ONE)
        presence.watch(lambda: Trouble("disk_full", "The disk is full."), lambda _: None)
        await presence.join()
        async with anyio.create_task_group() as group:
            group.start_soon(presence.run)
            await anyio.sleep(100)
            (seen,) = (await find_hosts(database)).values()
            assert clock.now() - seen.sign <= BEAT
            assert seen.present(clock.now())
            assert seen.trouble == Trouble("disk_full", "The disk is full.")
            group.cancel_scope.cancel()
        assert not seen.present(seen.sign + SILENT)
        await presence.leave()
        left = (await find_hosts(database))["one"]
        assert (left.left, left.present(clock.now())) == (True, False)
        await Presence(database, clock, replace(ONE, boot="boot2", seat="elsewhere")).join()

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("other", "error"),
    [(replace(ONE, id="2f", seat="b", boot="boot2"), ConfigError), (replace(ONE, seat="b", boot="boot2"), Busy)],
)
def test_two_hosts_with_one_name_are_refused(other: Host, error: type[Exception]) -> None:
    """One that gives signs keeps its name: another state folder is misconfigured, a copy of it comes too early."""

    async def scenario() -> None:
        database, clock = MemoryDatabase(), VirtualClock()
        presence = Presence(database, clock, ONE)
        await presence.join()
        async with anyio.create_task_group() as group:
            group.start_soon(presence.run)
            await anyio.sleep(3)
            with pytest.raises(error, match="one"):
                await Presence(database, clock, other).join()
            assert (await find_hosts(database))["one"].boot == "boot1"
            group.cancel_scope.cancel()

    run_virtual(scenario())


@pytest.mark.parametrize(("seat", "longest"), [("seat", 0.0), ("another machine", SILENT + 3)])
def test_a_killed_host_has_its_name_back(seat: str, longest: float) -> None:
    """At once on its own machine, whose lock proves that nobody holds the folder; else once it has been silent."""

    async def scenario() -> None:
        database, clock = MemoryDatabase(), VirtualClock()
        await Presence(database, clock, ONE).join()
        began = clock.now()
        await Presence(database, clock, replace(ONE, seat=seat, boot="boot2")).join()
        assert clock.now() - began <= longest
        assert (await find_hosts(database))["one"].boot == "boot2"

    run_virtual(scenario())


def test_whoever_was_taken_for_dead_learns_it() -> None:
    """A host that was frozen for long, and whose name another has by now, is told to end, and leaves the line alone."""

    async def scenario() -> None:
        database, clock = MemoryDatabase(), VirtualClock()
        frozen, told = Presence(database, clock, ONE), list[Trouble]()
        frozen.watch(lambda: None, told.append)
        await frozen.join()
        await anyio.sleep(SILENT)
        await Presence(database, clock, replace(ONE, id="2f", seat="b", boot="boot2")).join()
        await frozen.beat()
        await frozen.leave()
        assert [trouble.code for trouble in told] == ["host_name_taken"]
        assert (await find_hosts(database))["one"].boot == "boot2"

    run_virtual(scenario())


def test_a_state_folder_keeps_its_name() -> None:
    """Under another name its files would wait for ever; once the old one is forgotten, the new one is free."""

    async def scenario() -> None:
        database, clock = MemoryDatabase(), VirtualClock()
        await Presence(database, clock, ONE).join()
        renamed = Presence(database, clock, replace(ONE, name="uno", boot="boot2"))
        with pytest.raises(ConfigError, match="known as one"):
            await renamed.join()
        await forget_host(database, "one")
        await renamed.join()
        assert list(await find_hosts(database)) == ["uno"]

    run_virtual(scenario())


def test_a_line_of_another_release_can_be_read() -> None:
    """What this one does not know is left out, what that one did not write has its default."""
    written = ONE.as_json()
    del written["trouble"], written["lanes"]
    assert Host.from_json({**written, "later": 1}) == ONE


def test_hosts_of_two_databases_write_to_one_output_folder(tmp_path: Path) -> None:
    """Each finds the line of its own; one that writes elsewhere is refused, and so is one that may not leave a line."""

    async def scenario() -> None:
        clock, databases = VirtualClock(), (MemoryDatabase(), MemoryDatabase())
        for database in (*databases, *databases):
            known = await find_hosts(database)
            presence = Presence(database, clock, replace(ONE, name=f"host-{len(known)}", id=f"{len(known)}f"))
            await presence.join()
            await presence.agree({"[jobs]": "the same"})
            await share_output(tmp_path, database, presence)
        with pytest.raises(ConfigError, match="not the folder that the other hosts write to"):
            await share_output(tmp_path / "elsewhere", database, presence)
        alone = MemoryDatabase()
        with pytest.raises(ConfigError, match="cannot be written"):
            await share_output(tmp_path / "missing", alone, Presence(alone, clock, ONE))

    run_virtual(scenario())
