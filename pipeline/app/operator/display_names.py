"""What an item is called where people read it.

Addresses lose their query there: it may be the key that opens them.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.core.model import Task
from pipeline.core.youtube_address import is_address
from pipeline.source.identity import redact_source


def display_source(source: str) -> str:
    """Return a path as it is, an address without credentials and signatures."""
    return redact_source(source) if is_address(source) else source


def redacted(task: Task) -> Task:
    """Return a task whose data may be shown."""
    texts = {name: value for name, value in task.data.items() if isinstance(value, str)}
    return replace(
        task, data={**task.data, **{name: display_source(text) for name, text in texts.items() if is_address(text)}}
    )
