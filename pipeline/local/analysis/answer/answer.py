"""Answer a prompt about a reading: JSON where a schema is given, plain text otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.core.model import Json
from pipeline.local.analysis.answer.free_text import reply
from pipeline.local.analysis.answer.schema_filler import fill
from pipeline.local.analysis.evidence import ExtractedContent
from pipeline.local.analysis.text.content_summary import ContentSummary


def answer(
    reading: ExtractedContent,
    *,
    prompt: str,
    schema: Mapping[str, Json] | None,
    name: str = "",
    title: str = "",
    start: float | None = None,
    end: float | None = None,
) -> str:
    """Return JSON text that fits ``schema``, or plain text without one.

    Args:
        reading: what was found in the video.
        prompt: counts in it are heeded ("two sentences", "at most 5 chapters"), and lines that name a property in back quotes.
        schema: the JSON schema of the answer, in the platform's subset; None for text.
        name: the file's name, the last resort for a title.
        title: a title given by a person; it wins over what the video says.
        start, end: seconds; only this part of the video counts. Times in the answer stay those of the whole video.

    Raises:
        AnalysisRefused: asks for what captions, on-screen text and measurements cannot tell.
    """
    digest = ContentSummary(reading, name=name, title=title, start=start, end=end)
    if schema is None:
        return reply(digest, prompt)
    return json.dumps(fill(schema, digest, prompt), ensure_ascii=False)
