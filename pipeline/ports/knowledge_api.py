"""The port of knowledge stores: many videos that are asked as a whole.

Stores and items leave something behind and are found again by lists; an answer leaves nothing that could be looked for.
Conformance suite: ``tests/conformance/test_knowledge_api.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.core.model import Json

#: Characters of one question at most, with the tokens of what is selected.
MOST_QUESTION = 10_000


@dataclass(frozen=True, slots=True)
class KnowledgeStore:
    """A set of videos at the platform. Names need not be unique."""

    id: str
    name: str
    created: float | None = None  #: epoch seconds by the platform's clock


@dataclass(frozen=True, slots=True)
class KnowledgeItem:
    """An upload in a store; unknown words of the provider are ``working``."""

    id: str
    asset_id: str
    state: Literal["working", "ready", "failed"]
    word: str = ""  #: the provider's own word
    seconds: float | None = None  #: length of the video


@dataclass(frozen=True, slots=True)
class CrossQuestion:
    """A question to the items of a store."""

    store_id: str
    text: str
    instructions: str = ""
    selected: Sequence[str] = ()  #: ids of the items that are meant; empty: all. A wish, no border
    schema: Mapping[str, Json] | None = None  #: of the answer; None: plain text


@dataclass(frozen=True, slots=True)
class Citation:
    """A range of an item that the platform itself cites. Unchecked."""

    item_id: str
    start: float | None  #: seconds; None, with ``end``: the whole video
    end: float | None
    at: int = 0  #: where its marker begins in the text, characters


@dataclass(frozen=True, slots=True)
class CrossReply:
    """What came back."""

    text: str
    state: Literal["completed", "incomplete", "failed"]  #: incomplete: cut at the platform's limit of tokens
    id: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)  #: input_tokens, output_tokens; empty: not told
    citations: Sequence[Citation] = ()


class KnowledgeApi(Protocol):
    """Calls about knowledge stores; they raise only ``pipeline.core.errors``.

    All but :meth:`ask` wait for rate limits by themselves, as long as the configured patience. On a platform without these
    calls :meth:`stores` raises ``Permanent`` with code ``no_questions_across``.
    """

    @property
    def grace(self) -> float:
        """Seconds after a lost answer until what was accepted can be seen."""
        ...

    async def stores(self) -> Sequence[KnowledgeStore]:
        """Return all knowledge stores of the account."""
        ...

    async def create_store(self, name: str) -> str:
        """Make a knowledge store; return its id.

        Raises:
            Ambiguous: the answer was lost; :meth:`stores` tells whether it is there.
        """
        ...

    async def items(self, store_id: str) -> Sequence[KnowledgeItem]:
        """Return all items of a store."""
        ...

    async def add_item(self, store_id: str, asset_id: str, metadata: Mapping[str, str]) -> str:
        """Put an upload into a store; return the item's id. Perhaps paid.

        Raises:
            Ambiguous: the answer was lost; :meth:`items` tells whether it is there.
        """
        ...

    async def delete_item(self, store_id: str, item_id: str) -> None:
        """Take an upload out of a store; absent is done."""
        ...

    async def ask(self, question: CrossQuestion) -> CrossReply:
        """Ask, and return the whole answer. Paid.

        Raises:
            Ambiguous: nobody can tell whether it was answered, and paid.
        """
        ...
