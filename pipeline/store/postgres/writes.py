"""Writes a group in one transaction: outcomes, new tasks, then claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.model import State, Task
from pipeline.ports.budget import BudgetGuard, CountedEntry
from pipeline.store.encoding import Move, QueueEntry, Row, parse_spend
from pipeline.store.postgres import queries
from pipeline.store.postgres.connection import Transaction
from pipeline.store.postgres.handout.table import HandOut
from pipeline.store.postgres.tallies import ENTERED_SINCE
from pipeline.store.requeue import ExistingTask, Identity, Requeue
from pipeline.store.write_group import (
    Claim,
    Fence,
    HeldMoves,
    WriteReply,
    WriteRequest,
    count_changes,
    entries_of,
    guards_of,
    hold,
    moves_of,
)


async def write(
    group: Sequence[WriteRequest], unheard: Sequence[Claim], tells: str, handout: HandOut, transaction: Transaction
) -> list[WriteReply]:
    """Write a group inside an open transaction; return one reply per request.

    ``handout`` learns of all that is written, and gives out what is claimed.
    ``unheard``: earlier claims of which nobody knows whether they were written; what they took is given back.
    ``tells``: the name by which others are told that there is work; empty: they are not.
    Claims come last, so that what the outcomes have just made due is given out by the same commit, and nothing of a lane
    that is parked in it.
    """
    for claim in unheard:
        back = await transaction.fetch(queries.GIVE_BACK, claim.owner, claim.until, claim.now)
        await handout.follow(transaction, claim.now, [row[0] for row in back])
    changed, over = await _change(transaction, group, handout)
    await transaction.many(queries.PARK, [request.park for request in group if request.park is not None])
    claimed = [
        await _claim(transaction, request.claim, handout) if request.claim is not None else () for request in group
    ]
    if tells:
        await transaction.fetch(queries.TELL, tells)
    return [
        WriteReply(number, tasks, member in over)
        for member, (number, tasks) in enumerate(zip(changed, claimed, strict=True))
    ]


async def _claim(transaction: Transaction, claim: Claim, handout: HandOut) -> Sequence[Task]:
    """Find due tasks and take them, no more than caps allow."""
    at_work = {
        lane: (await transaction.fetch(queries.AT_WORK, lane.value, cap.beyond.value, cap.most))[0][0]
        for lane, cap in claim.caps.items()
        if claim.free_slots.get(lane)
    }
    if at_work:
        claim = claim.within(at_work)
    return await handout.claim(transaction, claim)


async def enter(spend: Row, guard: BudgetGuard | None, transaction: Transaction) -> bool:
    """Enter a paid effect of no task; False: a spending limit forbids it."""
    await _open_ledger(transaction, [guard] if guard is not None else [])
    if guard is not None and not guard.admits([parse_spend(spend)]):
        return False
    await transaction.columns(queries.ENTER_SPEND, [spend])
    return True


async def _open_ledger(transaction: Transaction, guards: Sequence[BudgetGuard]) -> None:
    """Keep others from entering anything.

    Spending limits are told what was entered since they last looked.
    """
    await transaction.fetch(queries.ALONE_IN_LEDGER)
    for guard in guards:
        guard.update([CountedEntry(*row) for row in await transaction.fetch(ENTERED_SINCE, guard.seen)])


async def _change(
    transaction: Transaction, group: Sequence[WriteRequest], handout: HandOut
) -> tuple[list[int], set[int]]:
    """Write outcomes and new tasks.

    Return each request's number of changes, and which a spending limit forbids.
    """
    moves = moves_of(group)
    locked = await _lock(transaction, group, moves)
    if any(move.spends for _, move in moves):
        await _open_ledger(transaction, guards_of(group))
    held = hold(group, moves, {lease.fence: lease.restarts for lease in locked.values() if lease.holds})
    await _move(transaction, held)
    entries = entries_of(group, held.members)
    effective, put = await _put(transaction, [entry for _, entry in entries])
    ids, times = [move.fence[0] for move in held.moves], [move.now for move in held.moves]
    now = max([*times, *(entry.now for _, entry in entries)], default=0.0)
    await handout.follow(transaction, now, ids, put)
    standing = {member for member, move in moves if _ended_by_holder(move, locked.get(move.fence[0]))} - held.over
    return count_changes(group, held.members | standing, entries, effective), held.over


@dataclass(frozen=True, slots=True)
class _Lease:
    """The last lease of a locked task."""

    fence: Fence
    holds: bool
    restarts: bool  #: when it ends as done
    lapsed: Sequence[int]  #: tokens of leases that ended without an outcome of their holder


async def _lock(
    transaction: Transaction, group: Sequence[WriteRequest], moves: Sequence[tuple[int, Move]]
) -> dict[int, _Lease]:
    """Lock what may change; return the leases by their tasks' ids."""
    restarting = [entry for _, entry in entries_of(group, set(range(len(group)))) if entry.restart_at is not None]
    if not moves and not restarting:
        return {}
    rows = await transaction.fetch(
        queries.LOCK,
        [move.fence[0] for _, move in moves],
        [entry.kind for entry in restarting],
        [entry.key for entry in restarting],
    )
    return {row[0]: _Lease((row[0], row[1], row[2]), row[3] == State.RUNNING, row[4], row[5]) for row in rows}


def _ended_by_holder(move: Move, lease: _Lease | None) -> bool:
    """Tell whether an outcome stands already, and only its answer was lost.

    A lease that holds ends with the outcome that this transaction writes.
    """
    token = move.fence[2]
    if lease is None or not move.by_holder or not 1 <= token <= lease.fence[2]:
        return False
    return token not in lease.lapsed and (token < lease.fence[2] or not lease.holds or move.fence == lease.fence)


async def _move(transaction: Transaction, held: HeldMoves) -> None:
    """Write the outcomes whose lease holds."""
    await transaction.columns(queries.MOVE, [_move_row(move) for move in held.moves])
    await transaction.many(queries.RESTART_ENDED, held.restarts)
    await transaction.columns(queries.KEEP_RESULT, [row for move in held.moves for row in move.results])
    await transaction.columns(queries.ENTER_SPEND, [row for move in held.moves for row in move.spends])


def _move_row(move: Move) -> Row:
    return (
        move.fence[0], move.state.value, move.stage, move.lane, move.rank, move.attempt, move.claims, move.wake_at,
        move.stage_since, move.data, move.subject, move.trouble, move.clears_trouble, move.now,
        move.by_holder,
    )  # fmt: skip


async def _put(transaction: Transaction, entries: Sequence[QueueEntry]) -> tuple[list[bool], list[Identity]]:
    """Queue tasks.

    Return for each whether it is new or restarts, and which are pending.
    """
    if not entries:
        return [], []
    kinds, keys = [entry.kind for entry in entries], [entry.key for entry in entries]
    restarting = [entry.restart_at is not None for entry in entries]
    existing: dict[Identity, ExistingTask] = {}
    there = await transaction.fetch(queries.EXISTING, kinds, keys, restarting)
    for kind, key, state, restart_later, data in there:
        if data is not None or (kind, key) not in existing:
            existing[kind, key] = ExistingTask(State(state), restart_later, data)
    requeue = Requeue(existing)
    effective = [requeue.add(entry) for entry in entries]
    await transaction.columns(queries.INSERT, [_insert_row(entry) for entry in requeue.inserts.values()])
    restarts = [(*_restart_row(entry), data) for entry, data in requeue.restarts.values()]
    await transaction.many(queries.RESTART, restarts)
    await transaction.many(queries.RESTART_LATER, [_restart_row(entry) for entry in requeue.restarts_later.values()])
    await transaction.many(queries.MERGE, [(*identity, *merge) for identity, merge in requeue.merges.items()])
    return effective, [*requeue.inserts, *requeue.restarts, *requeue.merges]


def _insert_row(entry: QueueEntry) -> Row:
    return (
        entry.kind, entry.key, entry.stage, entry.lane, entry.rank, entry.due, entry.subject, entry.now, entry.data,
    )  # fmt: skip


def _restart_row(entry: QueueEntry) -> Row:
    return (entry.kind, entry.key, entry.restart_at, entry.restart_lane, entry.restart_rank, entry.due, entry.now)
