"""A model's endpoint, as the user has named it, and its troubles."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.core.net import is_private


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """An OpenAI-compatible endpoint.

    Its address is the user's own word, so any host will do.
    """

    base_url: str  #: e.g. ``http://127.0.0.1:11434/v1``, without a slash at its end
    name: str  #: of the model
    key: str = ""
    images: bool = True  #: pictures are sent, where the model takes them
    timeout: float = 600.0  #: seconds for one answer
    context_tokens: int = 16_000  #: that evidence and question may have together

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.base_url).netloc

    @property
    def is_remote(self) -> bool:
        """True where others see what is sent, and may bill it."""
        return not is_private(urlsplit(self.base_url).hostname or "")


class ModelTrouble(Exception):
    """The model's answer cannot be used, or there is none; ``why`` is one sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class QuestionTooLong(ModelTrouble):
    """The model has no room for so much evidence."""


class EndpointDown(ModelTrouble):
    """The endpoint itself is at fault: the next question will not fare better."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What the model said; tokens are 0 where the endpoint counts none."""

    text: str
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
