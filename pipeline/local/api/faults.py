"""Faults on demand: which requests go wrong, and how. A script is data, so a test can send it over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias, get_args

from pipeline.core.errors import ConfigError
from pipeline.core.model import Json
from pipeline.local.api.responses import Shape
from pipeline.local.errors import ApiError, invalid

What: TypeAlias = Literal[
    "latency",  #: answer after ``seconds`` on the platform's clock
    "status",  #: refuse with any status, body shape and hint, without acting
    "reset_before",  #: drop the connection before acting
    "reset_after",  #: act, commit, then drop the connection without a word
    "truncate",  #: act, then cut the body in the middle although Content-Length says more
    "malformed",  #: act, then answer with JSON that ends in the middle, whole by its Content-Length
    "stuck",  #: what this request creates stays as it is for ever
    "fail",  #: what this request creates becomes failed with ``message`` and ``code``
    "unknown_status",  #: act, then show ``word`` in place of every status that is not final
    "credit",  #: 400 insufficient_funds
    "key",  #: 401 api_key_invalid
]

Hint: TypeAlias = Literal[
    "none", "retry-after", "retry-after-date", "retry-after-ms", "ratelimit", "details", "message"
]

Retired: TypeAlias = Literal["serve", "gone404", "gone410"]  #: what becomes of calls below ``/v1.2``

_NUMBERS = ("nth", "every", "probability", "times", "seconds", "status")


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One fault. ``match`` is a regular expression searched in ``METHOD /path``, e.g. ``POST /v1.3/assets$``.

    Which of the matching requests: the ``nth`` one (from 1), ``every`` nth, or each with a ``probability``; with none
    of the three, all. ``times`` ends the rule after so many hits (0 = never; an ``nth`` rule hits once).
    """

    match: str
    do: What
    nth: int = 0
    every: int = 0
    probability: float = 1.0
    times: int = 0
    seconds: float = 1.0  #: of latency, or of the wait that ``hint`` names
    status: int = 503
    body: Shape = "flat"
    hint: Hint = "none"
    code: str = ""
    message: str = ""
    word: str = "reviewing"
    headers: Mapping[str, str] = field(default_factory=dict)  #: further headers of a refusal

    @classmethod
    def of(cls, data: Mapping[str, Json]) -> FaultRule:
        """Read a rule from JSON; raises ApiError (400) with the reason."""
        try:
            rule = cls(**data)
            re.compile(rule.match)
        except (TypeError, re.error) as error:
            raise invalid(f"This is not a fault rule: {error}.") from None
        for name, kind in (("do", What), ("body", Shape), ("hint", Hint)):
            if getattr(rule, name) not in get_args(kind):
                raise invalid(f"A fault rule's {name!r} is one of {', '.join(get_args(kind))}.")
        numbers: list[Json] = [data.get(name, 0) for name in _NUMBERS]
        if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
            raise invalid("A fault rule's numbers are not negative.")
        return rule


@dataclass(frozen=True, slots=True)
class Faults:
    """A script: rules in order, the seed of their chances, and whether v1.2 is served or answers as a retired API."""

    rules: tuple[FaultRule, ...] = ()
    seed: int = 0
    v1_2: Retired = "serve"

    @classmethod
    def of(cls, rules: Iterable[Mapping[str, Json]], seed: int = 0, v1_2: Json = "serve") -> Faults:
        """Read a script from JSON values; raises ApiError (400) with the reason."""
        if v1_2 not in get_args(Retired):
            raise invalid(f"The v1_2 parameter must be one of {', '.join(get_args(Retired))}.")
        return cls(tuple(FaultRule.of(rule) for rule in rules), seed, v1_2)


def read_faults(path: Path) -> Faults:
    """Read a script from a JSON file, as ``POST /_platform/faults`` takes it: rules, and perhaps seed and ``v1_2``.

    Raises:
        ConfigError: the file cannot be read or is not a script.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Faults.of(data["rules"], int(data.get("seed", 0)), data.get("v1_2", "serve"))
    except OSError as error:
        raise ConfigError(f"{path}: the fault script cannot be read ({error.strerror})") from None
    except ApiError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(f"{path}: not a fault script", remedy='write {"rules": [...]} as JSON') from None


@dataclass(slots=True)
class _Count:
    seen: int = 0
    hits: int = 0


class FaultScript:
    """A running script: counts what it has seen and decides what happens to each request."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = Random(faults.seed)
        self._counts = [_Count() for _ in faults.rules]

    def decide(self, method: str, path: str) -> list[FaultRule]:
        """Return the rules that hit this request, in order, and count it."""
        line = f"{method} {path}"
        hits = []
        for rule, count in zip(self.faults.rules, self._counts, strict=True):
            if re.search(rule.match, line) is None:
                continue
            count.seen += 1
            if self._chosen(rule, count):
                count.hits += 1
                hits.append(rule)
        return hits

    def _chosen(self, rule: FaultRule, count: _Count) -> bool:
        if rule.times and count.hits >= rule.times:
            return False
        if rule.nth:
            return count.seen == rule.nth
        if rule.every:
            return count.seen % rule.every == 0
        return rule.probability >= 1.0 or self._random.random() < rule.probability

    def as_json(self) -> dict[str, Json]:
        """Return the script with what each rule has seen and hit."""
        rules = [
            {**asdict(rule), "seen": count.seen, "hits": count.hits}
            for rule, count in zip(self.faults.rules, self._counts, strict=True)
        ]
        return {"rules": rules, "seed": self.faults.seed, "v1_2": self.faults.v1_2}
