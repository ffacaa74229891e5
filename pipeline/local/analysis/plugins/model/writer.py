"""Answers written by a model: asked, checked, corrected once, or replaced by quotes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.log import get
from pipeline.core.model import Json
from pipeline.local.analysis.plugins.model.chat import ChatClient
from pipeline.local.analysis.plugins.model.checks import find_problem
from pipeline.local.analysis.plugins.model.endpoint import (
    ChatAnswer,
    ModelEndpoint,
    ModelTrouble,
    QuestionTooLong,
)
from pipeline.local.analysis.plugins.model.questions import build_correction, build_messages
from pipeline.local.analysis.plugins.model.replies import read_value
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import (
    AnalysisCrashed,
    AnalysisRefused,
    AnalysisRequest,
    Brief,
    Reply,
    count_tokens,
)

_PICTURES = 8  #: of one question
_LEAST = 1000  #: tokens of evidence and question; with less there is nothing to write from
_log = get("platform")


@dataclass(slots=True)
class _Used:
    """Tokens of one answer, all tries together."""

    input: int = 0
    output: int = 0

    def add(self, said: ChatAnswer) -> None:
        self.input += said.input_tokens
        self.output += said.output_tokens


class ModelWriter:
    """Answers requests with the model's words where they hold, else with quoted ones."""

    def __init__(self, endpoint: ModelEndpoint, chat: ChatClient, pool: AnalysisPool) -> None:
        self._endpoint = endpoint
        self._chat = chat
        self._pool = pool
        self._context = endpoint.context_tokens

    async def answer(self, request: AnalysisRequest) -> Reply:
        """Answer a request; raises AnalysisRefused or AnalysisCrashed as the analysis does."""
        brief, used = await self._pool.brief(request), _Used()
        try:
            self._chat.check_rested()
            text, finish = await self._written(request, brief, used)
        except ModelTrouble as trouble:
            _log.warning("model.not_used", model=self._endpoint.name, host=self._endpoint.host, why=trouble.why)
            return await self._quoted(request, trouble, used)
        output = used.output or count_tokens(text)
        return Reply(text, finish, used.input, output, written_by=self._endpoint.name)

    async def _written(self, request: AnalysisRequest, brief: Brief, used: _Used) -> tuple[str, str]:
        """Return the checked text, and how it ended."""
        pictures = await self._pictures(request, brief) if self._chat.sees else []
        context = self._context
        while True:
            try:
                messages = build_messages(request, brief, pictures, context)
                said = await self._ask(messages, request, used)
                break
            except QuestionTooLong:  # its context is smaller than was said
                context, pictures = context // 2, pictures[::2]
                if context < _LEAST:
                    raise
        self._context = min(self._context, context)  # only what has worked is remembered
        text, problem = _checked(said, request, brief)
        if problem and said.finish_reason != "length":
            said = await self._ask([*messages, *build_correction(said.text, problem)], request, used)
            text, problem = _checked(said, request, brief)
        if problem:
            raise ModelTrouble(f"its answer was not believed. {problem}")
        return text, "length" if said.finish_reason == "length" else "stop"

    async def _ask(self, messages: Sequence[Mapping[str, Json]], request: AnalysisRequest, used: _Used) -> ChatAnswer:
        said = await self._chat.ask(messages, request.schema, request.max_tokens)
        used.add(said)
        return said

    async def _pictures(self, request: AnalysisRequest, brief: Brief) -> list[tuple[float, bytes]]:
        """Return one calm picture of each shot, of at most eight, evenly."""
        times = brief.calm
        chosen = [times[at * len(times) // _PICTURES] for at in range(_PICTURES)] if len(times) > _PICTURES else times
        found: list[tuple[float, bytes]] = []
        for at in chosen:
            try:
                found.append((at, await self._pool.picture(Path(request.path), at)))
            except (AnalysisRefused, AnalysisCrashed):  # a picture less is no reason to say nothing
                continue
        return found

    async def _quoted(self, request: AnalysisRequest, trouble: ModelTrouble, used: _Used) -> Reply:
        """Answer with quoted words, and the reason beside them."""
        why = f"The model {self._endpoint.name} at {self._endpoint.host} was not used: {trouble.why.rstrip('.')}."
        try:
            reply = await self._pool.answer(request)
        except AnalysisRefused as refusal:
            raise AnalysisRefused(refusal.code, f"{refusal.message} {why}") from None
        warning = f"{why} What is said here is quoted and measured."
        return replace(reply, warning=warning, input_tokens=used.input, output_tokens=used.output)


def _checked(said: ChatAnswer, request: AnalysisRequest, brief: Brief) -> tuple[str, str]:
    """Return the text to answer with, and why it cannot be used."""
    if request.schema is None:
        return said.text, find_problem(said.text, None, brief)
    if said.finish_reason == "length":
        return "", f"It was cut at {request.max_tokens} tokens."
    try:
        value = read_value(said.text)
    except ModelTrouble as trouble:
        return "", f"{trouble.why[:1].upper()}{trouble.why[1:]}."
    return json.dumps(value, ensure_ascii=False), find_problem(value, request.schema, brief)
