"""The one import a job author needs.

A **job** is what a user asks of a video (gist, summary, chapters…): a schema fragment, prompt lines, a check and a
renderer. See ``jobs/gist.py`` for one in full, and ``jobs/README.md`` for how to write your own.
"""

from pipeline.core.errors import ConfigError
from pipeline.core.model import Json
from pipeline.core.text import block, csv_text, cue, disarmed, ffmeta, json_text, markdown, plain, stamp
from pipeline.kit.answers import AnswerReader, Verdict, old_spans, outside, seconds, span_schema
from pipeline.kit.job import Ask, FiledJob, Job, Legacy, MergedJob, PagedJob, Video
from pipeline.kit.merging import Part, joined_spans, joined_words, labelled, part_name, told_parts
from pipeline.kit.page import Moment, Moments, PageBlock, Prose, Tags, Value, found_moments
from pipeline.kit.parameters import Parameters
from pipeline.kit.schema_profile import mismatch, schema_problem
from pipeline.ports.sink import OutFile

__all__ = [
    "AnswerReader", "Ask", "ConfigError", "FiledJob", "Job", "Json", "Legacy", "MergedJob", "Moment", "Moments", "OutFile",
    "PageBlock", "PagedJob", "Parameters", "Part", "Prose", "Tags", "Value", "Verdict", "Video", "block", "csv_text", "cue",
    "disarmed", "ffmeta", "found_moments", "joined_spans", "joined_words", "json_text", "labelled", "markdown", "mismatch",
    "old_spans", "outside", "part_name", "plain", "schema_problem", "seconds", "span_schema", "stamp", "told_parts",
]  # fmt: skip
