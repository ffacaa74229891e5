"""What one transaction of a group writes, for every database alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.core.model import Lane, State, Task
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import NO_CAPS, LaneCaps
from pipeline.store.encoding import Move, QueueEntry, Row, parse_spend

#: A lease as it is held: task id, owner, token.
Fence = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """How many tasks a pool can take per lane, and its lease."""

    free_slots: Mapping[Lane, int]
    owner: str
    now: float
    until: float
    host: str = ""  #: for which tasks are given out
    steps: Mapping[tuple[str, str], Lane] | None = None  #: that it knows; None: all
    caps: LaneCaps = field(default_factory=lambda: NO_CAPS)

    def within(self, at_work: Mapping[Lane, int]) -> Claim:
        """Return the claim with no more slots than its caps leave.

        ``at_work``: what they count, by lane.
        """
        left = {lane: max(0, self.caps[lane].most - number) for lane, number in at_work.items()}
        free = {lane: min(number, left.get(lane, number)) for lane, number in self.free_slots.items()}
        return replace(self, free_slots=free)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One caller's share of a group: an outcome, tasks, a park, or a claim."""

    move: Move | None = None
    entries: Sequence[QueueEntry] = ()
    park: Row | None = None
    claim: Claim | None = None
    budget: BudgetGuard | None = None  #: of the outcome


@dataclass(frozen=True, slots=True)
class WriteReply:
    """The answer to one request: a number of changes, and what was claimed."""

    changed: int = 0  #: 1 for an outcome that stands, even if it was written before
    claimed: Sequence[Task] = ()
    over: bool = False  #: a spending limit forbids the outcome


@dataclass(slots=True)
class HeldMoves:
    """The outcomes of a group whose leases hold, and that no spending limit forbids."""

    moves: list[Move] = field(default_factory=list)
    restarts: list[tuple[int, float]] = field(default_factory=list)  #: (task id, now) of those that start again at once
    members: set[int] = field(default_factory=set)  #: of the group
    over: set[int] = field(default_factory=set)  #: members that a spending limit forbids


def moves_of(group: Sequence[WriteRequest]) -> list[tuple[int, Move]]:
    """Return the outcomes of a group, each with its member's number."""
    return [(member, request.move) for member, request in enumerate(group) if request.move is not None]


def leaves_work(group: Sequence[WriteRequest]) -> bool:
    """Tell whether a group may leave tasks that are due now."""
    moves = [request.move for request in group if request.move is not None]
    entries = [entry for request in group for entry in request.entries] + [
        entry for move in moves for entry in move.entries
    ]
    soon = [move for move in moves if move.wake_at is not None and move.wake_at <= move.now]
    return bool(soon) or any(entry.due <= entry.now for entry in entries)


def guards_of(group: Sequence[WriteRequest]) -> list[BudgetGuard]:
    """Return whose limits the group's entries of the ledger must keep."""
    guards = (request.budget for request in group if request.move is not None and request.move.spends)
    return list({id(guard): guard for guard in guards if guard is not None}.values())


def hold(group: Sequence[WriteRequest], moves: Sequence[tuple[int, Move]], leases: Mapping[Fence, bool]) -> HeldMoves:
    """Return which outcomes are written; the guards know the ledger by now.

    ``leases``: those that hold, and whether their tasks restart when they are done.
    """
    left = dict(leases)
    held = HeldMoves()
    for member, move in moves:
        restarts = left.get(move.fence)
        if restarts is None:
            continue
        guard = group[member].budget
        if guard is not None and move.spends and not guard.admits([*map(parse_spend, move.spends)]):
            held.over.add(member)
            continue
        del left[move.fence]  # of two outcomes under one lease only the first counts
        held.moves.append(move)
        held.members.add(member)
        if restarts and move.state is State.DONE:
            held.restarts.append((move.fence[0], move.now))
    return held


def entries_of(group: Sequence[WriteRequest], holding: set[int]) -> list[tuple[int, QueueEntry]]:
    """Return spawned and submitted tasks alike, each with its member's number."""
    entries: list[tuple[int, QueueEntry]] = []
    for member, request in enumerate(group):
        spawned = request.move.entries if request.move is not None and member in holding else ()
        entries += [(member, entry) for entry in (*spawned, *request.entries)]
    return entries


def count_changes(
    group: Sequence[WriteRequest],
    standing: set[int],
    entries: Sequence[tuple[int, QueueEntry]],
    effective: Sequence[bool],
) -> list[int]:
    """Return each member's number of changes.

    An outcome that is ``standing`` is one, and so is each task that is new or restarts.
    """
    changed = [int(member in standing) for member in range(len(group))]
    for (member, _), counts in zip(entries, effective, strict=True):
        if group[member].move is None:
            changed[member] += counts
    return changed
