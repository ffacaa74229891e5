"""Faults on demand: which requests go wrong, and how; a script is data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from pipeline.core.errors import ConfigError
from pipeline.core.model import Json
from pipeline.local.api.http.bodies import Body, parse
from pipeline.local.api.http.fields import ONE_OF, must_be, refuse
from pipeline.local.api.http.responses import Shape
from pipeline.local.errors import ApiError

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


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error)) from None
    return text


_Whole = Annotated[int, Field(ge=0), must_be("a whole number, not negative")]
_Number = Annotated[float, Field(ge=0), must_be("a number, not negative")]
_Text = Annotated[str, must_be("a text")]


class FaultRule(Body):
    """One fault. ``match`` is a regular expression searched in ``METHOD /path``, e.g. ``POST /v1.3/assets$``.

    Which of the matching requests: the ``nth`` one (from 1), ``every`` nth, or each with a ``probability``; with none
    of the three, all. ``times`` ends the rule after so many hits (0 = never; an ``nth`` rule hits once).
    """

    closed = True

    match: Annotated[str, AfterValidator(_regular_expression), must_be("a regular expression")]
    do: Annotated[What, ONE_OF]
    nth: _Whole = 0
    every: _Whole = 0
    probability: _Number = 1.0
    times: _Whole = 0
    seconds: _Number = 1.0  #: of latency, or of the wait that ``hint`` names
    status: _Whole = 503
    body: Annotated[Shape, ONE_OF] = "flat"
    hint: Annotated[Hint, ONE_OF] = "none"
    code: _Text = ""
    message: _Text = ""
    word: _Text = "reviewing"
    headers: Annotated[dict[str, str], must_be("an object of texts")] = Field(default_factory=dict)  #: of a refusal


class Faults(Body):
    """A script: rules in order, their seed, and what becomes of v1.2."""

    rules: Annotated[list[FaultRule], refuse("The rules parameter must be a list of objects.")] = Field(
        default_factory=list
    )
    seed: Annotated[int, must_be("a whole number")] = 0
    v1_2: Annotated[Retired, ONE_OF] = "serve"


def read_faults(path: Path) -> Faults:
    """Read a script from a JSON file, as ``POST /_platform/faults`` takes it.

    Raises:
        ConfigError: the file cannot be read or is not a script.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or "rules" not in data:
            raise ValueError
        return parse(Faults, data)
    except OSError as error:
        raise ConfigError(f"{path}: the fault script cannot be read ({error.strerror})") from None
    except ApiError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    except ValueError:
        raise ConfigError(f"{path}: not a fault script", remedy='write {"rules": [...]} as JSON') from None


@dataclass(slots=True)
class _Count:
    seen: int = 0
    hits: int = 0


class FaultScript:
    """A running script: decides what happens to each request."""

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
            {**rule.model_dump(), "seen": count.seen, "hits": count.hits}
            for rule, count in zip(self.faults.rules, self._counts, strict=True)
        ]
        return {"rules": rules, "seed": self.faults.seed, "v1_2": self.faults.v1_2}
