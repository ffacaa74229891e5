"""A worker process of the analysis; run as ``python -m``."""

from __future__ import annotations

from functools import cache

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisRefused, Analyzer, dispatch
from pipeline.local.analysis.service import LocalAnalysis
from pipeline.media.process_lines import serve_lines


def answer(analyzer: Analyzer, request: Json) -> Json:
    """Return what one request gets."""
    try:
        return {"ok": dispatch(analyzer, request["do"], request["data"])}
    except AnalysisRefused as refusal:
        return {"refused": [refusal.code, refusal.message]}
    except (OSError, MemoryError) as error:
        return {"broken": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    analysis = cache(LocalAnalysis)  # one for each sentence model that is asked for, which is one
    serve_lines(lambda request: answer(analysis(request["meaning"]), request))
