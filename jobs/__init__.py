"""The jobs: what Reelmill asks of a video, one file each."""

from __future__ import annotations

from jobs.ask import AskFreely
from jobs.chapters import Chapters
from jobs.classify import Classify
from jobs.gist import Gist
from jobs.highlights import Highlights
from jobs.summary import Summary
from pipeline.kit import Job

JOBS: tuple[Job, ...] = (Gist(), Summary(), Chapters(), Highlights(), Classify(), AskFreely())
