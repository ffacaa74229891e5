"""Chat completions over HTTP: the only file of the local platform that knows httpx.

Redirects are not followed, so that the key goes where the user has sent it. Nothing is sent twice once it may have been
billed: only what was refused, or never left, is tried again.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import anyio
import httpx

from pipeline.core.clock import Clock
from pipeline.core.log import build_spellings
from pipeline.core.model import Json
from pipeline.local.analysis.plugins.model.endpoint import (
    ChatAnswer,
    EndpointDown,
    ModelEndpoint,
    ModelTrouble,
    QuestionTooLong,
)
from pipeline.local.analysis.plugins.model.questions import to_json_schema
from pipeline.local.analysis.plugins.model.replies import error_text, read_answer

_MOST = 4 * 1024 * 1024  #: bytes of an answer
_TRIES = 3
_AT_ONCE = 2  #: questions; a model on this machine answers them one after the other anyway
_LONGEST_WAIT = 30.0  #: seconds before the next try
_FAILURES = 2  #: in a row, after which the endpoint is left alone for a while
_REST = 300.0  #: seconds
_STEPS = 5  #: ways in which a request can be made simpler
_REFUSED = frozenset({400, 404, 413, 415, 422, 500, 501})  #: statuses of a request that asks for too much
_OF_THE_QUESTION = frozenset({400, 413, 415, 422})  #: another question may fare better
_TOO_LONG = re.compile(
    r"context (?:length|window|size)|too long|too many tokens|maximum.{0,30}tokens|exceeds.{0,30}context"
)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How an endpoint is asked; each step is simpler than the one before."""

    form: Literal["json_schema", "json_object", "none"] = "json_schema"
    length: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    sees: bool = True


class ChatClient:
    """Asks one endpoint, and remembers what it refuses and that it is down."""

    def __init__(self, endpoint: ModelEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            follow_redirects=False,
            timeout=None,  # noqa: S113 - each call is bounded as a whole
            trust_env=endpoint.is_remote,  # a proxy is for the world outside
            headers={
                "content-type": "application/json",
                "accept-encoding": "identity",  # a bound on bytes that is none for what they unpack to is none
                **({"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}),
            },
        )
        self._key = re.compile(build_spellings(endpoint.key)) if endpoint.key else None
        self._manner = _Manner(sees=endpoint.images)  #: that has worked last
        self._room = anyio.Semaphore(_AT_ONCE)
        self._failures = 0
        self._why = ""  #: of the last one
        self._rest_until = 0.0  #: monotonic seconds

    @property
    def sees(self) -> bool:
        """True unless it was told to send no pictures, or the endpoint takes none."""
        return self._manner.sees

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def check_rested(self) -> None:
        """Raise ModelTrouble while the endpoint is left alone."""
        if self._clock.monotonic() < self._rest_until:
            raise ModelTrouble(f"it is left alone for a while ({self._why})")

    async def models(self) -> Sequence[str]:
        """Return the names of the models that the endpoint lists; raises ModelTrouble."""
        status, _, body = await self._send("GET", "/models", None)
        if status != 200:
            raise ModelTrouble(self._told(status, body))
        try:
            listed = json.loads(body)["data"]
            return [str(each["id"]) for each in listed]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise ModelTrouble("its list of models cannot be read") from None

    async def ask(
        self,
        messages: Sequence[Mapping[str, Json]],
        schema: Mapping[str, Json] | None,
        max_tokens: int,
        *,
        pictures_needed: bool = False,
    ) -> ChatAnswer:
        """Return the model's answer.

        Where the endpoint refuses a schema, pictures or a word of the request, the same is asked without; without pictures
        only where they are not all that it is about.

        Raises:
            ModelTrouble: there is no answer, or it is none; EndpointDown where the endpoint is at fault, QuestionTooLong
            where it would answer a shorter one.
        """
        try:
            said = await self._try_manners(messages, schema, max_tokens, pictures_needed=pictures_needed)
        except EndpointDown as trouble:
            self._failures, self._why = self._failures + 1, trouble.why
            if self._failures >= _FAILURES:
                self._rest_until = self._clock.monotonic() + _REST
            raise
        self._failures = 0
        return said

    async def _try_manners(
        self,
        messages: Sequence[Mapping[str, Json]],
        schema: Mapping[str, Json] | None,
        max_tokens: int,
        *,
        pictures_needed: bool,
    ) -> ChatAnswer:
        """Ask, and what is refused in a simpler manner again."""
        manner = self._manner
        for _ in range(_STEPS):
            if pictures_needed and not manner.sees:
                raise ModelTrouble("it takes no pictures")
            body = self._body(messages, schema, max_tokens, manner)
            status, kind, answer = await self._patiently(body)
            if status == 200:
                self._manner = manner  # only what has worked is remembered: a refusal may have been about the question
                said = read_answer(answer, kind)
                return replace(said, text=self._hide(said.text))
            simpler = self._simpler(manner, body, status, error_text(answer).lower())
            if simpler is None:
                raise (ModelTrouble if status in _OF_THE_QUESTION else EndpointDown)(self._told(status, answer))
            manner = simpler
        raise EndpointDown("it refuses every form of the request")

    def _body(
        self,
        messages: Sequence[Mapping[str, Json]],
        schema: Mapping[str, Json] | None,
        max_tokens: int,
        manner: _Manner,
    ) -> dict[str, Json]:
        sent = messages if manner.sees else [_without_pictures(message) for message in messages]
        body: dict[str, Json] = {"model": self._endpoint.name, "messages": list(sent), manner.length: max_tokens}
        if schema is not None and manner.form == "json_schema":
            form = {"name": "answer", "schema": to_json_schema(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif schema is not None and manner.form == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _simpler(self, manner: _Manner, body: Mapping[str, Json], status: int, said: str) -> _Manner | None:
        """Return a manner without what was refused; None if nothing is left to leave.

        Raises:
            QuestionTooLong: it is not the manner.
        """
        if status not in _REFUSED:
            return None
        if "max_completion_tokens" in said and manner.length == "max_tokens":
            return replace(manner, length="max_completion_tokens")
        if status in (400, 413) and _TOO_LONG.search(said):
            raise QuestionTooLong(f"it has no room for the evidence: {self._hide(said)}")
        pictures = any(isinstance(message["content"], list) for message in body["messages"])
        if pictures and re.search(r"image|vision|multi-?modal|content.{0,40}(?:string|str\b)", said):
            return replace(manner, sees=False)
        if "response_format" in body and (status in (400, 422) or re.search(r"schema|format|grammar", said)):
            return replace(manner, form="json_object" if manner.form == "json_schema" else "none")
        return replace(manner, sees=False) if pictures and status in _OF_THE_QUESTION else None

    async def _patiently(self, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        """Send; a refusal for want of room is repeated after a while."""
        for attempt in range(1, _TRIES + 1):
            async with self._room:
                self.check_rested()  # others may have failed while this one waited
                status, wait, answer = await self._send("POST", "/chat/completions", body)
            if status not in (429, 503) or attempt == _TRIES:
                return status, wait, answer
            await self._clock.sleep(min(_LONGEST_WAIT, _seconds(wait) or 2.0**attempt))
        raise AssertionError("unreachable")

    async def _send(self, method: str, path: str, body: Mapping[str, Json] | None) -> tuple[int, str, bytes]:
        """Return status, content type (or the wait of a refusal), and the bounded body."""
        limit, received = self._endpoint.timeout, bytearray()
        sent = json.dumps(body).encode() if body is not None else None  # ASCII: a name may hold what is no Unicode
        try:
            with anyio.fail_after(limit):
                async with self._http.stream(method, self._endpoint.base_url + path, content=sent) as answer:
                    if answer.headers.get("content-encoding", "identity") != "identity":
                        raise EndpointDown("its answer is compressed, although nobody asked for that")
                    async for piece in answer.aiter_raw():
                        received += piece
                        if len(received) > _MOST:
                            raise EndpointDown("its answer has no end")
                    kind = answer.headers.get("retry-after" if answer.status_code in (429, 503) else "content-type", "")
                    return answer.status_code, kind, bytes(received)
        except TimeoutError:
            raise EndpointDown(f"it did not answer within {limit:g} s") from None
        except (httpx.ConnectError, httpx.ProxyError):
            raise EndpointDown("it cannot be reached") from None
        except httpx.HTTPError:
            raise EndpointDown("it broke off its answer") from None

    def _told(self, status: int, body: bytes) -> str:
        """Return what an answer without an answer means."""
        said = self._hide(error_text(body))
        words = {401: "it refuses the key", 403: "it refuses the key", 404: "it has no such model or address"}
        if 300 <= status < 400:
            return f"it answered {status}, a redirect, which is not followed: set the new address"
        what = words.get(status, f"it answered {status}")
        return f"{what}: {said}" if said else what

    def _hide(self, text: str) -> str:
        """Return a text without the key, however it is spelt in it."""
        return self._key.sub("***", text) if self._key is not None else text


def _without_pictures(message: Mapping[str, Json]) -> dict[str, Json]:
    """Return a message as one text; what introduces a picture goes with it."""
    content = message["content"]
    if not isinstance(content, list):
        return dict(message)
    after = [*(part["type"] for part in content[1:]), ""]
    texts = [
        part["text"]
        for part, then in zip(content, after, strict=True)
        if part["type"] == "text" and then != "image_url"
    ]
    return {**message, "content": "\n\n".join(texts)}


def _seconds(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,6}(?:\.\d+)?", text.strip()) else 0.0
