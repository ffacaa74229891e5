"""Reading what endpoints answer, whole or streamed, and their errors. Pure.

Servers differ: OpenAI and llama.cpp put errors into ``error.message``, Ollama and LM Studio also a text into ``error``, vLLM
has ``message`` at the top, FastAPI ``detail``, proxies a page. Some stream although nobody asked for it; some models think
aloud before they answer, or put JSON into a fence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

from pipeline.core.model import Json
from pipeline.core.text import plain
from pipeline.local.analysis.plugins.model.endpoint import ChatAnswer, ModelTrouble

_SHOWN = 200  # characters of an error that are told
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)


def read_answer(body: bytes, content_type: str) -> ChatAnswer:
    """Return the message of a chat completion.

    Raises:
        ModelTrouble: it is none, it is empty, or the model refused.
    """
    text = body.decode("utf-8", "replace")
    if "event-stream" in content_type or text.lstrip().startswith("data:"):
        return _join(_events(text))
    return _join(iter([_object(text)]))


def _events(text: str) -> Iterator[Mapping[str, Json]]:
    for line in text.splitlines():
        word, _, data = line.partition(":")
        if word.strip() == "data" and data.strip() not in ("", "[DONE]"):
            yield _object(data)


def _object(text: str) -> Mapping[str, Json]:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ModelTrouble("its answer is no JSON of a chat completion") from None
    if not isinstance(value, dict):
        raise ModelTrouble("its answer is no JSON of a chat completion")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _join(pieces: Iterator[Mapping[str, Json]]) -> ChatAnswer:
    """Put the pieces of a stream together; a whole answer is one piece."""
    words: list[str] = []
    finish, used = "", (0, 0)
    for piece in pieces:
        if piece.get("error"):  # some servers answer 200 and tell the error inside
            raise ModelTrouble(f"it answered with an error: {error_text(json.dumps(piece).encode())}")
        used = _usage(piece.get("usage")) or used
        choices = piece.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        if not isinstance(choice, dict):
            continue
        message = choice.get("message") or choice.get("delta") or {}
        if isinstance(message, dict):
            if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
                raise ModelTrouble(f"the model refused: {plain(refusal, _SHOWN)}")
            words.append(_words(message.get("content")))
        if isinstance(reason := choice.get("finish_reason"), str):
            finish = reason
    text = _THINKING.sub("", "".join(words)).strip()
    if not text:
        cut = ": all its tokens went into thinking" if finish == "length" else ""
        raise ModelTrouble(f"the model said nothing{cut}")
    return ChatAnswer(text, finish or "stop", *used)


def _words(content: Json) -> str:
    """Return the text of a content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _usage(value: Json) -> tuple[int, int] | None:
    if not isinstance(value, dict):
        return None
    counts = (value.get("prompt_tokens"), value.get("completion_tokens"))
    into, out = (each if isinstance(each, int) and not isinstance(each, bool) and each >= 0 else 0 for each in counts)
    return into, out


def error_text(body: bytes) -> str:
    """Return what an error says, in at most 200 characters on one line.

    A page is not quoted.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else plain(text, _SHOWN)
    return plain(_message(value), _SHOWN)


def _message(value: Json) -> str:
    if isinstance(value, list) and value:  # of an API that answers with a list of errors
        return _message(value[0])
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    for name in ("error", "message", "detail", "msg"):
        if found := _message(value.get(name)):
            return found
    return ""


def read_value(text: str) -> Json:
    """Return the JSON value in a text, without what is around it.

    Raises:
        ModelTrouble: there is none.
    """
    decoder = json.JSONDecoder(parse_constant=_no_number)
    for found in re.finditer(r"[\[{]", text):
        try:
            value, _ = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            if found.start() > 2000:  # only words so far: it answers in prose
                break
            continue
        return value
    raise ModelTrouble("its answer holds no JSON")
