"""Which files a publish will write, change and remove, before it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pipeline.ingest.enqueue import KnownVideo
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import PublishData
from pipeline.ingest.windows.merge import answers_of
from pipeline.kit.job import FiledJob
from pipeline.money_views import FileChange
from pipeline.ports.sink import Sink
from pipeline.ports.store import Records

INTERNAL = ("_answer", "_captions", "_thumbnail", "_transcript")


class PlannedFiles:
    """Collects the files of a plan, the first of them by name.

    A path holds ``*`` where nobody knows yet: a new folder ends in characters of the content, an answer is named by its call.
    """

    def __init__(self, sink: Sink, most: int) -> None:
        """``most``: files that are named."""
        self._sink = sink
        self._most = most
        self.named: list[FileChange] = []
        self.counts: Counter[str] = Counter()
        self.new_folders = 0

    async def add(
        self,
        known: KnownVideo,
        folder: str,
        wanted: Sequence[JobRequest],
        calls: int,
        action: str,
        records: Records | None,
    ) -> None:
        """Add the files of one video; ``calls``: that ask for what is ``wanted``."""
        written = PublishData.of(known.publish) if known.publish is not None else PublishData()
        if action == "restore":
            lost = [name for name in written.sizes if await self._sink.missing({folder: {name: written.sizes[name]}})]
            self.note(FileChange("write", f"{folder}/{name}") for name in lost)
            return
        if not wanted and known.publish is None:
            return
        self.new_folders += not written.sizes
        answers: dict[str, Sequence[str]] = {}
        if written.sizes and wanted and records is not None and known.publish is not None:
            results = await records.results([known.publish.key], without=INTERNAL)
            present = [each for each in results if written.present.get(each.job) == each.fingerprint]
            answers = {each.job: [f"raw/{name}.json" for name in answers_of(each)] for each in present}
        self.note(_changes(written, folder, wanted, calls, answers))

    def note(self, changes: Iterator[FileChange]) -> None:
        """Count changes, and keep the first of them."""
        for each in changes:
            self.counts[each.change] += 1
            if len(self.named) < self._most:
                self.named.append(each)


def _changes(
    written: PublishData, folder: str, wanted: Sequence[JobRequest], calls: int, answers: Mapping[str, Sequence[str]]
) -> Iterator[FileChange]:
    """Yield what becomes of a video's folder; ``answers``: result → files."""
    names = {request.name for request in wanted}
    for name in _rendered(written, wanted):
        yield FileChange("change" if name in written.sizes else "write", f"{folder}/{name}")
    for _ in range(calls):
        yield FileChange("write", f"{folder}/raw/*.json")
    kept = {file for result, files in answers.items() if result not in names for file in files}
    for file in sorted({file for result, files in answers.items() if result in names for file in files} - kept):
        if file in written.sizes:
            yield FileChange("remove", f"{folder}/{file}")
    yield FileChange("change" if written.sizes else "write", f"{folder}/video.json")


def _rendered(written: PublishData, wanted: Sequence[JobRequest]) -> Iterator[str]:
    """Yield the names of the results' files, each once, as a publish gives them."""
    taken = {
        name for result, files in written.files.items() for name in files if result not in {r.name for r in wanted}
    }
    for request in wanted:
        known = written.files.get(request.name) or [f"{request.name}.*"]
        for name in request.job.files(request.params) if isinstance(request.job, FiledJob) else known:
            own = name if name not in taken else f"{request.name}-{name}"
            taken.add(own)
            yield own
