"""From a seed to everything that will happen: manifests, settings, the platform's habits, accidents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

CLIPS = 12  #: files there are; the last two are larger than a direct upload may be

#: What may befall a request. Those in LATE reach the platform and are carried out; the others never do.
LATE = (
    "lost",
    "silent",
    "500 after",
    "502 after",
    "503 after",
    "504 after",
    "cut",
    "torn",
    "html",
    "list",
    "blank",
    "alien",
    "odd ids",
)
#: Only calls that are paid for: carried out minutes later, or refused after they were carried out.
HIDDEN = ("late", "late", "303 after", "402 after", "404 after", "409 after", "425 after", "451 after")
NEVER = ("refused", "dropped", "unheard", "500 before", "503 before", "408", "425", "proxy404", "slow")
THROTTLES = ("429 empty", "429 words", "429 nested", "429 after", "429 date", "429 ms", "429 reset", "429 day")
#: A gateway's words, after the call was carried out: only its status is that of a limit.
UNPROVEN = ("429 empty after", "429 page after")
ACCOUNT = ("401", "credit", "302")
#: The process that has sent a call freezes, and gets the answer when it goes on.
FREEZE_SENT = "freeze sent"
#: From here on all calls of this kind are refused for a time, in words that name no limit.
WALL = "wall"
ASSET_FATES = ("failed", "stuck", "strange", "vanish")
ANSWER_FATES = ("failed", "canceled", "stuck", "strange", "length", "garbage", "vanish")
BATCH_FATES = ("expire", "expire", "lose", "double", "shuffle", "cancel")
DEATHS = ("die", "die", "power")
#: The state folder is gone; or everything that lay on this machine.
LOSSES = ("lose state", "lose state", "lose all")
CALL_DEATHS = ("die before", "die sent", "die answered")

#: site -> (how many of its events an item has, or all of a run; what can happen there)
SITES: dict[str, tuple[float, Sequence[str]]] = {
    "pay": (2.5, (*LATE, *HIDDEN, *NEVER, *THROTTLES, *CALL_DEATHS * 3)),
    "read": (7, (*LATE, *NEVER, *THROTTLES, *CALL_DEATHS)),
    "chunk": (2, (*LATE, *NEVER, *CALL_DEATHS, "429 after")),
    "account": (8, ACCOUNT),
    "asset": (1, ASSET_FATES),
    "answer": (1.5, ANSWER_FATES),
    "store": (100, ("busy", "busy", "broken")),
    "disk": (32, ("full", "failing", "forbidden", "die", "power")),
    "turn": (250, (*DEATHS, "stop", "stop now", "freeze", "steal")),
    "clock": (500, ("jump",)),
    "hosts": (700, ("die", "freeze", "freeze", "suspend", "pause", "away", "away", "stop")),
    "between": (3, ("cancel", "retry", "cancel and retry", "remove results")),
}
_WEIGHTS = {"pay": 9, "read": 4, "chunk": 2, "account": 1, "asset": 2, "answer": 3, "store": 2, "disk": 2, "turn": 7,
            "clock": 2, "between": 2}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One accident: at the ``at``-th event of a site (of ``clock``: at that second), of some size (seconds, times)."""

    site: str
    at: int
    what: str
    size: float = 0.0

    def __str__(self) -> str:
        return f"{self.site}#{self.at}:{self.what}" + (f"({self.size:g})" if self.size else "")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest: ``file`` and ``copy`` (same content, another name) by clip, ``youtube``, or ``bad``."""

    sort: str
    number: int
    title: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Habits:
    """How the platform is, seconds: none of it an accident."""

    arrive: float = 0.3  #: at most, until a request is carried out
    answer: float = 0.3  #: at most, until its answer is there
    lag: float = 1.0  #: at most, until what was made is listed
    settle: float = 20.0
    think: float = 40.0
    ahead: float = 0.0  #: its clock against true time
    keeps_keys: bool = False  #: honours idempotency keys
    address_life: float = 3600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that is decided before the first step."""

    seed: int
    nights: tuple[tuple[Line, ...], ...]
    prompts: tuple[str, ...]  #: of the summary job, one per night
    sections: dict[str, Any]
    habits: Habits
    faults: tuple[Fault, ...]
    one_call: float = 7200.0  #: seconds of a video that one analysis looks at, at most
    hosts: int = 1  #: machines that work on one database at a time
    lists: str = "same"  #: what each is given of a night's lines: all of them, a part, or the first all ("one")

    @property
    def api(self) -> str:
        """The dialect."""
        return str(self.sections["provider"]["api"])

    def without(self, index: int) -> Schedule:
        """Return the schedule without one accident."""
        return replace(self, faults=self.faults[:index] + self.faults[index + 1 :])

    def told(self) -> str:
        """Return everything in a few lines."""
        nights = "; ".join(" ".join(f"{line.sort}{line.number}" for line in night) for night in self.nights)
        faults = " ".join(map(str, self.faults)) or "none"
        return (
            f"seed {self.seed} api {self.api} hosts {self.hosts} {self.lists}\n  nights {nights}\n"
            f"  {self.habits}\n  {self.sections}\n  faults {faults}"
        )


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    drawn, chance = draw_alone(seed), Random(f"hosts {seed}").random()
    return with_hosts(drawn, 2 + int(chance * 30)) if chance < 0.1 else drawn


def with_hosts(schedule: Schedule, hosts: int) -> Schedule:
    """Return the same for several machines, with what may happen to one of them; where they may share: not on v1.2."""
    if schedule.api == "v1.2" or hosts < 2:
        return schedule
    rng, count = Random(f"hosts of {schedule.seed}"), len(schedule.nights[0])
    faults = [
        _drawn(rng, "hosts", count, rng.choice(SITES["hosts"][1])) for _ in range(rng.choice((1, 2, 3, 5, 8, 12)))
    ]
    calls = [rng.choice(("read", "read", "pay")) for _ in range(rng.choice((0, 1, 2, 4)))]
    faults += [_drawn(rng, site, count, FREEZE_SENT) for site in calls]
    sections = {name: section for name, section in schedule.sections.items() if name != "queries"}
    lists = rng.choice(("same", "split", "one"))
    return replace(schedule, hosts=hosts, lists=lists, sections=sections, faults=(*schedule.faults, *faults))


def draw_alone(seed: int) -> Schedule:
    """Return the schedule of a seed for one machine."""
    rng = Random(seed)
    api = rng.choice(("v1.3", "v1.3", "v1.2"))
    count = rng.choice((2, 2, 3, 3, 4, 5, 6, 8, 12))
    nights, prompts = _nights(rng, api, count)
    sections, habits, faults = _sections(rng, api), _habits(rng), _faults(rng, count)
    batches, fates = _batches(seed, api, count)
    own = (
        *_losses(seed, count),
        *_upkeep(seed, count),
        *_agains(seed),
        *_unproven(seed, count),
        *fates,
        *_walls(seed, count),
    )
    one_call, windows = _windows(seed, api)
    sections |= {**batches, "jobs": {**sections["jobs"], "settings": windows}}
    return Schedule(seed, nights, prompts, sections, habits, (*faults, *own), one_call)


def _nights(rng: Random, api: str, count: int) -> tuple[tuple[tuple[Line, ...], ...], tuple[str, ...]]:
    clips = rng.sample(range(CLIPS), count)
    first = [Line("file", number, rng.choice(("", "", f"Title of {number}"))) for number in clips]
    if api == "v1.2" and rng.random() < 0.5:
        first[: rng.randint(1, 2)] = [
            Line("youtube", n, rng.choice(("", f"Film {n}"))) for n in range(rng.randint(1, 2))
        ]
    for sort in ("copy", "bad", "file"):
        if rng.random() < 0.3:
            first.insert(rng.randrange(len(first) + 1), Line(sort, rng.choice(clips)))
    if rng.random() < 0.2:
        first.append(Line("file", rng.choice(clips), prompt="What colour is the door?"))
    nights, prompts = [tuple(first)], [""]
    while len(nights) < 3 and rng.random() < 0.45:
        later = [line for line in nights[-1] if rng.random() < 0.9]
        later += [Line("file", number) for number in rng.sample(range(CLIPS), rng.randint(0, 2))]
        nights.append(tuple(later) or nights[-1])
        prompts.append(rng.choice((prompts[-1], "Heed the weather.", "Heed the people.")))
    return tuple(nights), tuple(prompts)


def _sections(rng: Random, api: str) -> dict[str, Any]:
    jobs = rng.choice((("gist", "summary"), ("summary",), ("gist", "summary", "chapters", "highlights")))
    sections: dict[str, Any] = {
        "provider": {
            "kind": "twelvelabs", "api": api, "base_url": "https://platform.test",
            "poll_spacing": rng.choice((5.0, 10.0, 20.0)), "connections": rng.choice((1, 4, 20)),
            "in_hand": rng.choice((1, 3, 200)), "chunk_parallel": rng.choice((1, 3)),
        },
        "policy": {
            "attempts": rng.choice((2, 3, 5, 8)), "stage_hours": rng.choice((0.5, 1.0, 2.0)),
            "retry_most": rng.choice((60.0, 300.0)), "retry_first": rng.choice((1.0, 5.0)),
            "on_ambiguous_ask": rng.choice(("resubmit", "resubmit", "hold")),
            "on_ambiguous_create": rng.choice(("look", "look", "look", "hold")),
        },
        "jobs": {"enabled": jobs, "fuse": rng.random() < 0.7},
        "run": {"stop_grace": rng.choice((0.5, 20.0))},
        "gallery": {"posters": False},  # a process of its own, which no virtual clock moves
        "limits": {"patience": rng.choice((60.0, 600.0)), "analyze": {"requests_per_minute": rng.choice((3, 10, 60))}},
        "lanes": {"upload": rng.choice((1, 4)), "analyze": rng.choice((1, 8)), "write": rng.choice((1, 4))},
    }  # fmt: skip
    if rng.random() < 0.25:
        sections["budget"] = {rng.choice(("max_usd_per_run", "max_usd_per_day")): rng.choice((0.08, 0.2, 0.5))}
    if api == "v1.2" or rng.random() < 0.3:
        sections["index"] = {"name": "films"}
        if rng.random() < 0.4:
            option = "conversation" if api == "v1.2" else "audio"
            sections["queries"] = [{"name": "q", "text": "a door", "options": (option,)}]
    return sections


def _habits(rng: Random) -> Habits:
    return Habits(
        arrive=rng.choice((0.01, 0.3, 1.0)), answer=rng.choice((0.01, 0.3, 2.0)),
        lag=rng.choice((0.0, 1.0, 2.5, 2.5, 30.0, 300.0)),
        settle=rng.choice((0.0, 5.0, 45.0)), think=rng.choice((1.0, 30.0, 120.0)),
        ahead=rng.choice((0.0, 0.0, 20.0, -20.0, 3600.0, -3600.0)), keeps_keys=rng.random() < 0.2,
        address_life=rng.choice((3600.0, 3600.0, 90.0)),
    )  # fmt: skip


def _faults(rng: Random, count: int) -> tuple[Fault, ...]:
    number = rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 9, 14))
    sites = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=number)
    return tuple(_fault(rng, site, count) for site in sites)


def _losses(seed: int, count: int) -> tuple[Fault, ...]:
    """Return when the database is lost, in a third of all seeds; drawn apart, so that the rest of a seed stays as it was."""
    rng = Random(f"losses {seed}")
    if rng.random() > 0.35:
        return ()
    sites = ["turn" if rng.random() < 0.8 else "between" for _ in range(rng.choice((1, 1, 2)))]
    spread = {"turn": SITES["turn"][0] * count, "between": 2}
    return tuple(Fault(site, 1 + int(spread[site] * rng.random() ** 1.3), rng.choice(LOSSES)) for site in sites)


def _upkeep(seed: int, count: int) -> tuple[Fault, ...]:
    """Return when the time of a run is up, and when the operator prunes, in a third of all seeds; drawn apart, too."""
    rng = Random(f"upkeep {seed}")
    if rng.random() > 0.35:
        return ()
    times = [Fault("turn", 1 + int(SITES["turn"][0] * count * rng.random() ** 1.3), "time up")] * (rng.random() < 0.6)
    return (*times, *(Fault("between", 1 + rng.randrange(3), "prune") for _ in range(rng.choice((1, 1, 2)))))


def _agains(seed: int) -> tuple[Fault, ...]:
    """Return when an operator has finished items asked again, in a third of all seeds; drawn apart, for the same reason."""
    rng = Random(f"agains {seed}")
    number = rng.choice((1, 1, 2, 3)) if rng.random() < 0.35 else 0
    return tuple(Fault("between", rng.randint(1, 4), "again", rng.choice((1.0, 2.0))) for _ in range(number))


def _unproven(seed: int, count: int) -> tuple[Fault, ...]:
    """Return calls that are told to come later once they are accepted, in a third of all seeds; drawn apart, too."""
    rng = Random(f"unproven {seed}")
    number = rng.choice((1, 1, 2)) if rng.random() < 0.35 else 0
    return tuple(_drawn(rng, "pay", count, rng.choice(UNPROVEN)) for _ in range(number))


def _walls(seed: int, count: int) -> tuple[Fault, ...]:
    """Return when the account meets a limit that no answer names, in a fifth of all seeds; drawn apart, too."""
    rng = Random(f"walls {seed}")
    number = rng.choice((1, 1, 2)) if rng.random() < 0.2 else 0
    return tuple(_drawn(rng, "pay", count, WALL) for _ in range(number))


def _batches(seed: int, api: str, count: int) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """Return how batches are used, and what becomes of them; drawn apart, so that the rest of a seed stays as it was."""
    rng = Random(f"batches {seed}")
    if api != "v1.3" or rng.random() < 0.5:
        return {}, ()
    fates = [Fault("batch", number, rng.choice(BATCH_FATES)) for number in range(1, 6) if rng.random() < 0.3]
    mode = rng.choice(("always", "always", "auto"))
    rules = {"mode": mode, "min_analyses": rng.randint(1, count), "hours_each": 0.01}
    return {"batches": rules}, tuple(fates)


def _windows(seed: int, api: str) -> tuple[float, dict[str, Any]]:
    """Return how much of a video one call looks at, and parts that jobs are asked about; drawn apart, in a sixth of all."""
    rng = Random(f"windows {seed}")
    if api != "v1.3" or rng.random() > 0.25:
        return 7200.0, {}
    parts = {"summary": {"window": rng.choice(("0:10-0:50", "0:30-", "0:00-1:00"))}} if rng.random() < 0.5 else {}
    return rng.choice((25.0, 40.0, 7200.0)), parts


def _fault(rng: Random, site: str, count: int) -> Fault:
    return _drawn(rng, site, count, rng.choice(SITES[site][1]))


def _drawn(rng: Random, site: str, count: int, what: str) -> Fault:
    events = SITES[site][0]
    spread = events if site in ("between", "clock") else events * count
    return Fault(site, 1 + int(spread * rng.random() ** 1.3), what, _size(rng, what))


def _size(rng: Random, what: str) -> float:
    sizes: dict[str, Sequence[float]] = {
        "jump": (1.0, 90.0, 3600.0, 90_000.0, -1.0, -90.0, -3600.0, -90_000.0),
        "slow": (3.0, 30.0, 59.0, 75.0), "stuck": (120.0, 1500.0, 1e9), "strange": (60.0, 900.0),
        "freeze": (5.0, 70.0, 400.0), "steal": (130.0, 400.0), "busy": (1.0, 3.0, 8.0), "full": (1.0, 10.0),
        "vanish": (0.0, 20.0), "late": (8.0, 30.0, 170.0, 600.0), WALL: (30.0, 400.0, 4_000.0, 40_000.0, 100_000.0),
    }  # fmt: skip
    sizes |= {
        **dict.fromkeys(("suspend", "pause"), (30.0, 130.0, 400.0, 3600.0)),
        "away": (5.0, 70.0, 130.0, 400.0, 700.0),
    }
    sizes |= {FREEZE_SENT: (70.0, 200.0, 400.0, 1500.0)}
    return rng.choice(sizes[what]) if what in sizes else 0.0
