"""A pool over the memory database with task types of the test's own making: what the engine's tests drive.

A *plan* is what a step does: a coroutine function of (task, ensure_fresh). The harness counts every call to the database,
so that a test can say how busy an idle pool is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import anyio.lowlevel

from pipeline.core.backoff import Backoff
from pipeline.core.clock import ServerClock
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, NewTask, Selection, Task
from pipeline.core.outcome import Outcome
from pipeline.core.task_types import LeaseCheck, Stage, TaskType, TaskTypes
from pipeline.engine.admission import RunEnd
from pipeline.engine.pool import Pool, PoolOptions
from tests.support.clock import VirtualClock
from tests.support.memory_database import MemoryDatabase

Plan = Callable[[Task, LeaseCheck], Awaitable[Outcome]]

WIDTHS = {Lane.FETCH: 4, Lane.UPLOAD: 4, Lane.POLL: 8, Lane.ANALYZE: 4, Lane.WRITE: 4}


class CountingStore:
    """The memory database, its calls counted.

    ``break_with`` makes named calls raise for a while; ``lose_answers`` lets them happen, and then raise.
    """

    def __init__(self) -> None:
        self.inner = MemoryDatabase()
        self.calls: Counter[str] = Counter()
        self._broken: dict[str, Callable[[], Exception | None]] = {}
        self._unheard: dict[str, Callable[[], Exception | None]] = {}

    def break_with(self, name: str, error: Callable[[], Exception | None]) -> None:
        """Let calls of this name raise what ``error()`` returns, as long as it returns something."""
        self._broken[name] = error

    def lose_answers(self, name: str, error: Callable[[], Exception | None]) -> None:
        """Let what calls of this name have done stand, and raise what ``error()`` returns instead of their answer."""
        self._unheard[name] = error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            await anyio.lowlevel.checkpoint()  # a real database gives way to others
            error = self._broken[name]() if name in self._broken else None
            if error is not None:
                raise error
            answer = await found(*args, **kwargs)
            error = self._unheard[name]() if name in self._unheard else None
            if error is not None:
                raise error
            return answer

        return counted


@dataclass
class EngineHarness:
    """One database and one clock that outlive pools; ``pool`` makes a process's pool."""

    task_types: TaskTypes
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: CountingStore = field(default_factory=CountingStore)
    widths: Mapping[Lane, int] = field(default_factory=lambda: dict(WIDTHS))
    shared: bool = False  #: a server tells the time, as it does where several hosts have one database

    def pool(self, **options: Any) -> Pool:
        """Return a new process's pool over the same database."""
        clock = ServerClock(self.clock) if self.shared else self.clock
        made = PoolOptions(**{"owner": "me", "widths": self.widths, "lease": 120.0, "stop_grace": 20.0, **options})
        return Pool(self.store, self.task_types, clock, Random(1), made)  # type: ignore[arg-type]

    async def run(self, tasks: Sequence[NewTask] = (), **options: Any) -> RunEnd:
        """Queue the tasks and run a pool over them to its end."""
        pool = self.pool(**options)
        await pool.submit(tasks)
        return await pool.run()

    async def task(self, key: str) -> Task:
        """Return the one task of this key as the database has it."""
        found: list[Task] = await self.store.inner.tasks(Selection(keys=(key,)))
        assert len(found) == 1, key
        return found[0]

    async def states(self) -> dict[str, str]:
        """Return key -> state."""
        return {task.key: task.state.value for task in await self.store.inner.tasks(Selection())}

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Count the database calls made inside."""
        before = Counter(self.store.calls)
        made: Counter[str] = Counter()
        yield made
        made.update(Counter(self.store.calls) - before)


def policy(**words: Any) -> Policy:
    """Return a policy of short patience."""
    return Policy(**{"attempts": 4, "deadline": 3600.0, "backoff": Backoff(5.0, 60.0), **words})


def task_type(name: str, *stages: tuple[str, Lane, Plan], base: int = 0, **words: Any) -> TaskType:
    """Return a task type from (stage, lane, plan) triples."""
    return TaskType(name, [Stage(stage, lane, plan, policy(**words)) for stage, lane, plan in stages], base)


def engine(*task_types: TaskType, **words: Any) -> EngineHarness:
    """Return a harness for these task types."""
    return EngineHarness(TaskTypes(task_types), **words)


def new(name: str, stage: str, *keys: str, **words: Any) -> list[NewTask]:
    """Return new tasks of one type."""
    return [NewTask(name, key, stage, **words) for key in keys]
