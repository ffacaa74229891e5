"""The port of the database: queue, records, journal. Conformance suite: ``tests/conformance/test_store_*.py``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from pipeline.core.model import (
    About,
    ChangedVideo,
    CostGroup,
    CostKey,
    Counts,
    DiskUse,
    ItemQuery,
    Json,
    Lane,
    ListedItem,
    Parked,
    PendingGroup,
    Placed,
    Result,
    RunNote,
    Selection,
    Spend,
    Stopped,
    StoredAnswer,
    Task,
)
from pipeline.ports.budget import BudgetGuard, CountedEntry, LedgerDays

if TYPE_CHECKING:
    from pipeline.core.lifecycle import Transition


T = TypeVar("T")
#: Looks at what is remembered (None: nothing); returns what to remember from now on (None: as it is), and its own answer.
Change = Callable[[Json | None], tuple[Json | None, T]]


class ApplyAnswer(Enum):
    """What became of an outcome that was handed in."""

    WRITTEN = "written"  #: by this call, or by an earlier one under the same lease, whose answer may have been lost
    LOST = "lost"  #: nothing of it: the task was claimed by another, cancelled or taken back
    OVER = "over"  #: nothing of it: a spending limit forbids an entry; the lease holds


@dataclass(frozen=True, slots=True)
class LaneCap:
    """So many may run in a lane, or wait or run beyond it."""

    beyond: Lane  #: the other one
    most: int


#: What all processes together may have at work, by lane.
LaneCaps: TypeAlias = Mapping[Lane, LaneCap]
NO_CAPS: LaneCaps = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Applied:
    """A decided transition, with lane and rank for all its tasks."""

    task: Task
    move: Transition
    lane: Lane
    rank: int
    spawn: Sequence[Placed] = ()
    by_holder: bool = True  #: False: whoever takes the task back from a holder that seems to be gone
    budget: BudgetGuard | None = None  #: whose limits the entries must keep; None: there is no limit

    def placed(self) -> Task:
        """Return the task as it stands after the transition, for people."""
        move = self.move
        data, subject = move.data or self.task.data, move.subject or self.task.subject
        return replace(self.task, stage=move.stage, lane=self.lane, state=move.state, data=data, subject=subject)


@dataclass(frozen=True, slots=True)
class WaitingHere:
    """Pending tasks that only one host can do."""

    tasks: int
    due: float  #: when the first of them falls due


class Store(Protocol):
    """The engine's side of the database: intentions, not SQL.

    ``now`` is epoch seconds and comes from the caller.
    """

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        """Queue tasks in one transaction; return how many changed. Idempotent.

        What changed is new or restarted; (kind, key) is the identity.
        An existing task with ``new.restart_at`` set: if done (or failed, with ``new.restart_failed``), it becomes pending
        at that stage, due at ``new.due``, with counters at zero and ``new.data`` merged over its data; if running, it does
        so when its attempt ends as done (data kept); if pending, only ``new.data`` is merged.
        """
        ...

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        """Take at most ``room[lane]`` due tasks per lane, atomically.

        Highest rank first, then longest due, or longest put where an engine of its own hands out. A task that needs one host's
        disk is given to that host only; a database that is a file has one host, and gives it everything.
        A claimed task is running, its ``claims`` grew by one, its lease has a new token and ends at ``until``.
        Parked lanes give nothing, and lanes of ``caps`` no more than those allow, counted over all processes: only claims that
        are made at the same moment may go beyond, by what each of them takes.
        """
        ...

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        """Extend the leases of these running tasks; return the ids that are still ours."""
        ...

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        """Write an outcome in one transaction, if the lease still holds.

        State, results, spawned tasks and spend. A holder hands in one outcome under a lease, and repeats that one when it got
        no answer: what was written is not written twice and told as written, also when others have gone on from there. A
        lease that was ended by another, by a cancel or by taking the task back (``by_holder`` false), stays lost.
        Nothing is written where a limit of ``budget`` forbids the entries, together with all that any process has entered
        before; after that answer a holder hands in another outcome.
        """
        ...

    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        """Return running tasks whose lease ended before ``now``; None: all running.

        ``family``: only those of owners whose names begin so.
        """
        ...

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        """Return the smallest due time in these lanes, parked or not, or None.

        What only another host can do does not count.
        """
        ...

    async def news(self) -> None:
        """Wait until another process may have left work, or parked or opened a lane.

        It may return without a reason, and never where no other process writes. What is told twice, or told while nobody
        waits, is told once.
        """
        ...

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        """Carry out an operator's command on the selected tasks; return how many changed.

        ``cancel``: pending, running, held → cancelled, and the data says ``cancelled`` from then on.
        ``retry``: failed, held, cancelled → pending, due now, attempts at zero, trouble kept; ``claims`` too, because a
        cancelled step may have acted: the provider is asked first.
        What ``which.states`` names goes further: any such state is cancelled, and a pending task that sleeps is retried.
        """
        ...

    async def park(self, parked: Parked, now: float) -> None:
        """Let a lane rest until a time, for every process; the later one counts.

        A scope that is not a lane's name is only remembered: ``claim`` gives what it gave.
        """
        ...

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        """Forget these scopes, and make tasks with these troubles due now.

        All in one transaction.
        Return how many tasks were made due.
        """
        ...

    async def bring_forward(self, now: float) -> int:
        """Shorten the waits that began after ``now``; return how many.

        Each is as long as it was to be, from now on. For a clock that was set back: else what was to wait a minute waits
        for as long as it was ahead. What was parked after ``now`` is forgotten, and everything that is parked where any task
        waited so: what is still closed is parked again by the first that tries.
        """
        ...

    async def aclose(self) -> None:
        """Close the database. Idempotent."""
        ...


class Places(Protocol):
    """What only one host can do, because its files are on that one's disk."""

    async def places(self) -> Mapping[str, WaitingHere]:
        """Return what waits for the disk of a host, by host.

        Nothing, where the database is a file.
        """
        ...

    async def tasks_of_place(self, place: str, kind: str, after_id: int, limit: int) -> list[Task]:
        """Return up to ``limit`` tasks that wait for a host's disk, by id.

        They are of one kind, and above ``after_id``.
        """
        ...


class Records(Protocol):
    """The reading side. Commands like ``status`` open it read-only and never block a run."""

    async def tasks(self, which: Selection) -> list[Task]:
        """Return the selected tasks in the order they were first submitted."""
        ...

    async def keys(self, which: Selection) -> list[tuple[int, str]]:
        """Return ids and keys of the selected tasks, at a tenth of the cost."""
        ...

    async def results(self, subjects: Sequence[str], without: Sequence[str] = ()) -> list[Result]:
        """Return the results of these videos but for those of some jobs, oldest first."""
        ...

    async def about(self, subject: str) -> About:
        """Return all that is stored of one video, in three queries."""
        ...

    async def subjects(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` video keys that have results, in key order, above ``after``."""
        ...

    async def counts(self) -> Counts:
        """Count tasks by kind, state, lane and trouble."""
        ...

    async def pending(self, now: float) -> list[PendingGroup]:
        """Return what is pending in groups that are alike, soonest first.

        ``now`` tells what is due from what sleeps.
        """
        ...

    async def tally(self, *, by_video: bool = False) -> Mapping[str, int]:
        """Count items by their state as a whole.

        Done, failed, held, cancelled, working; an item is a task of kind ``item``.
        An item that is not itself done counts by its own state (pending and running are ``working``). A done one counts
        by the worst of all tasks with its subject: held, then failed, then working, then done.
        ``by_video``: items with the same subject are one; the worst of them counts, a cancelled one last of all.
        """
        ...

    async def parked(self, now: float) -> list[Parked]:
        """Return the scopes that are parked at ``now``."""
        ...

    async def spent(self, since: float = 0.0) -> tuple[float, float, int]:
        """Return (USD, minutes, number of doubtful entries) in the ledger since ``since``."""
        ...

    async def spends(self, subjects: Sequence[str]) -> list[Spend]:
        """Return the ledger entries of these videos."""
        ...

    async def runs(self, limit: int) -> list[RunNote]:
        """Return the newest runs first."""
        ...


async def read_pages(records: Records, which: Selection) -> AsyncGenerator[list[Task], None]:
    """Yield the selected tasks in pages of ``which.limit``, so that memory holds one."""
    while page := await records.tasks(which):
        yield page
        which = replace(which, after_id=page[-1].id)


class Accounting(Protocol):
    """The ledger in sums."""

    async def costs(self, by: CostKey, since: float = 0.0) -> list[CostGroup]:
        """Return the ledger since ``since`` in groups, by name.

        Days and months are UTC; a source is its item's key, or the video's where no item has it.
        """
        ...

    async def daily(self) -> LedgerDays:
        """Return USD by the day."""
        ...

    async def entered_since(self, number: int) -> list[CountedEntry]:
        """Return the entries behind this one, in their order.

        An entry with a smaller number than one that is returned is never committed later.
        """
        ...


class Catalog(Protocol):
    """Every item as a whole, for lists of any length."""

    def items(self, which: ItemQuery) -> AsyncGenerator[Sequence[ListedItem], None]:
        """Yield the items of one moment; memory does not grow with their number.

        An item that is not itself done stands as it does; a done one as the worst of all tasks with its subject: held,
        then failed, then working, then done. In an order, ASCII letters are compared in any case; equals, and no order:
        the first submitted first; without an order, the last. Close the generator.
        """
        ...

    async def stopped(self, kinds: Sequence[str], ignored: Sequence[int]) -> Stopped:
        """Count failed and held tasks of these kinds.

        What is ``ignored``, by its id, does not count; nor does a task, but of an item or a listing, whose video has no item.
        """
        ...


class Journal(Protocol):
    """Small durable facts that are not tasks: run history, limits, spending."""

    async def note_run(self, note: RunNote) -> None:
        """Insert or replace a run's line."""
        ...

    async def load(self, name: str) -> Json | None:
        """Return the remembered value, or None."""
        ...

    async def load_all(self, begins: str) -> Mapping[str, Json]:
        """Return what is remembered under all names that begin so, by name."""
        ...

    async def save(self, name: str, value: Json) -> None:
        """Remember a value under a name."""
        ...

    async def drop(self, name: str) -> None:
        """Remember nothing under a name any more."""
        ...

    async def change(self, name: str, change: Change[T]) -> T:
        """Look at a value and remember another, alone among all processes.

        Return the change's answer.
        ``change`` is quick, asks nobody and may be called again; what it raises leaves the value as it is.
        """
        ...

    async def enter(self, spend: Spend, budget: BudgetGuard | None = None) -> bool:
        """Enter a paid effect of no task, before its call, once.

        Return False, with nothing written, where a limit of ``budget`` forbids it.
        """
        ...


class Changes(Protocol):
    """Which videos' results have changed, for who lists them all."""

    async def changed_videos(self, after: int, limit: int) -> list[ChangedVideo]:
        """Return up to ``limit`` changed videos, above the mark ``after``, in order.

        Each stands there once, with its last change.
        Changed is a video whose task ``publish`` was done, or was forgotten, and that is in no :meth:`catch_up` since.
        """
        ...

    async def catch_up(self, marks: Sequence[int], name: str, value: Json, before: Json | None) -> bool:
        """Remember a value, and forget these changes, in one transaction.

        Return False, with nothing written, where the value is not the one from before: somebody else has caught up.
        """
        ...


class Upkeep(Protocol):
    """What an operator may take away; only while no run is at work."""

    async def answers(self, before: float, after_id: int, limit: int) -> list[StoredAnswer]:
        """Return up to ``limit`` provider answers from before a time, by id, above ``after_id``."""
        ...

    async def drop_answers(self, ids: Sequence[int]) -> int:
        """Delete these provider answers, and nothing else; return how many went."""
        ...

    async def surplus_runs(self, keep: int) -> tuple[int, int]:
        """Return (number, bytes) of the runs behind the newest ``keep``."""
        ...

    async def drop_runs(self, keep: int) -> int:
        """Delete the runs behind the newest ``keep``; return how many went. The ledger stays."""
        ...

    async def forget(self, tasks: Sequence[int], subject: str, stamp: str) -> int:
        """Delete these tasks, in one transaction; return how many went.

        With a ``subject`` its results go, too. The ledger stays: the keys of the subject's entries begin with
        ``forgotten/<stamp>/`` from then on, so that a later call of the same name has an entry of its own.
        """
        ...

    async def disk_use(self) -> DiskUse:
        """Return how large the database's file is, and how much of it is unused."""
        ...

    async def compact(self) -> None:
        """Give unused space back to the disk, whole or not at all.

        It takes as much free space as the database will have, twice.
        """
        ...


class Database(Store, Places, Records, Accounting, Catalog, Journal, Changes, Upkeep, Protocol):
    """The whole port: what each kind of database implements."""
