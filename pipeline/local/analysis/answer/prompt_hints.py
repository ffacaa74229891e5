"""Hints in a prompt that need no language model."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = {word: number for number, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split())} | {  # noqa: SIM905
    "a": 1, "single": 1, "a single": 1, "fifteen": 15, "twenty": 20, "a couple of": 2, "a few": 3,
}  # fmt: skip
_N = r"(\d{1,4}|" + "|".join(sorted(map(re.escape, _NUMBERS), key=len, reverse=True)) + r")"
_COUNT = re.compile(
    rf"(?P<upto>at most|up to|no more than|not more than|maximum(?: of)?|max\.?|under|fewer than|less than)?\s*"
    rf"\b{_N}\b(?:\s*(?:-|–|to|or)\s*{_N}\b)?(?=(?P<after>(?:[\s-]+[\w'’]+){{0,3}}))",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\n(?=\s*(?:[-*•]\s*)?(?:for\s+)?`)|;\s*(?=`)")
SENTENCES = ("sentence",)
POINTS = ("bullet", "point", "item", "takeaway")
WORDS = ("word",)


@dataclass(frozen=True, slots=True)
class Count:
    """How many are wanted. ``exact`` where a bare number was named."""

    least: int
    most: int

    @property
    def exact(self) -> int:
        """The number itself if it was named as such, else 0."""
        return self.most if self.least == self.most else 0


def about(prompt: str, name: str) -> str:
    """Return the lines of a prompt that speak of a property; empty without.

    >>> about("Return:\\n- `title`: short\\n- `topics`: 1 to 5 phrases", "topics")
    '- `topics`: 1 to 5 phrases'
    """
    return "\n".join(item for item in _ITEM.split(prompt) if f"`{name}`" in item)


def request(section: str, name: str) -> str:
    """Return what a section asks for its property, without name and introduction.

    >>> request("- `answer_x`: the answer, as text, to this request about the video: Who sings?", "answer_x")
    'Who sings?'
    """
    text = section.split(f"`{name}`", 1)[-1].lstrip(" :,-–").strip()
    return re.sub(r"^the answer,[^:\n]{0,80}:\s*", "", text)


def find_count(text: str, nouns: tuple[str, ...], *, bare: bool = False) -> Count | None:
    """Find the count of these nouns in a text: "at most 5 chapters".

    ``bare`` also takes the first number without its noun ("at most 20, in time order").
    """
    fallback = None
    for found in _COUNT.finditer(text):
        first, second = _number(found[2]), _number(found[3]) if found[3] else None
        if first is None:
            continue
        most = second if second is not None else first
        count = Count(0 if found["upto"] else min(first, most), max(first, most))
        if any(word.lower().startswith(nouns) for word in found["after"].replace("-", " ").split()):
            return count
        if fallback is None and (found["upto"] or second is not None):
            fallback = count
    return fallback if bare else None


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else _NUMBERS.get(text.lower())
