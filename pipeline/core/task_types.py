"""A task type: stages, each with a step, a lane and a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, NewTask, Placed, Task
from pipeline.core.outcome import Outcome


class LeaseCheck(Protocol):
    """The engine's check of a step's own lease."""

    def __call__(self) -> None:
        """Raise LostLease unless the lease is fresh; call before paying.

        Fresh: confirmed less than half its lifetime ago.
        """
        ...


#: One step: looks at the task, does one thing, returns a verdict. May raise only what ``pipeline.core.errors`` names.
Step = Callable[[Task, LeaseCheck], Awaitable[Outcome]]
#: The class that has the steps.
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[T]):
    """One stage as a class declares it; ``step`` is not bound yet."""

    name: str
    lane: Lane
    step: Callable[[T, Task, LeaseCheck], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a task type: lane, step and patience."""

    name: str
    lane: Lane
    step: Step
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class TaskType:
    """A type of task: stages in order, later ones claimed first."""

    name: str
    stages: Sequence[Stage]
    base: int = 0  #: added to the rank, so that an analysis goes before a new upload

    @classmethod
    def of(
        cls,
        name: str,
        owner: T,
        stages: Sequence[StageSpec[T]],
        policy: Policy,
        *,
        base: int = 0,
        policies: Mapping[str, Policy] = MappingProxyType({}),
    ) -> TaskType:
        """Return the task type of ``owner``'s steps; ``policies`` are exceptions by stage."""
        bound = [
            Stage(each.name, each.lane, partial(each.step, owner), policies.get(each.name, policy)) for each in stages
        ]
        return cls(name, bound, base)

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; KeyError for another release's."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


class TaskTypes:
    """An explicit list of task types; importing a module registers nothing."""

    def __init__(self, task_types: Sequence[TaskType]) -> None:
        self._by_name = MappingProxyType({each.name: each for each in task_types})
        #: Each stage with its rank, by (task type, stage): every step of every task looks here several times.
        self._stages = {
            (each.name, stage.name): (stage, each.base + number)
            for each in task_types
            for number, stage in enumerate(each.stages)
        }

    def __getitem__(self, name: str) -> TaskType:
        return self._by_name[name]

    def stage(self, task: Task) -> Stage:
        """Return the stage a task is at; KeyError for another release's."""
        return self._stages[task.kind, task.stage][0]

    @property
    def steps(self) -> Mapping[tuple[str, str], Lane]:
        """Every step that is known, as (task type, stage), and its lane."""
        return {step: stage.lane for step, (stage, _) in self._stages.items()}

    def lane_and_rank(self, kind: str, stage: str) -> tuple[Lane, int]:
        """Return lane and rank of a stage."""
        found, rank = self._stages[kind, stage]
        return found.lane, rank

    def place(self, new: NewTask) -> Placed:
        """Return the new task with lane and rank, for the store."""
        lane, rank = self.lane_and_rank(new.kind, new.stage)
        if new.restart_at is None:
            return Placed(new, lane, rank)
        restart_lane, restart_rank = self.lane_and_rank(new.kind, new.restart_at)
        return Placed(new, lane, rank, restart_lane, restart_rank)
