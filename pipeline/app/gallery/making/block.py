"""One block of the page: read from the database, made into rows and files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.app.gallery.blocks import JobBlocks, PageFault
from pipeline.app.gallery.collect import Published, StoredVideo, read_videos
from pipeline.app.gallery.entries import EntryMaker, captions_text
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.wiring.run_plan import load_jobs
from pipeline.core.model import Json
from pipeline.gallery.data_files import captions_name, captions_script, encode, shard_files
from pipeline.gallery.values import ShardFile
from pipeline.ports.sink import OutFile
from pipeline.ports.store import Records


@dataclass(frozen=True, slots=True)
class BlockJob:
    """Which videos to make a block of."""

    number: int
    videos: Sequence[Published]
    posters: Collection[str]  #: folders of the videos that have one
    stale: bool  #: its files are wanted, beside its rows


@dataclass(frozen=True, slots=True)
class MadeBlock:
    """A block as it is written: encoded rows, and files."""

    rows: Sequence[str]
    shards: Sequence[ShardFile] = ()
    files: Sequence[OutFile] = ()
    faults: Sequence[PageFault] = ()  #: of each job that has failed so far where it was made

    def as_json(self) -> Json:
        """Return it for another process."""
        return {
            "rows": self.rows,
            "shards": [[shard.file, shard.first, shard.last] for shard in self.shards],
            "files": [[file.name, file.content] for file in self.files],
            "faults": [[fault.job, fault.video, fault.why] for fault in self.faults],
        }

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> MadeBlock:
        """Read back what :meth:`as_json` wrote."""
        shards = [ShardFile(*each) for each in answer["shards"]]
        files, faults = [OutFile(*each) for each in answer["files"]], [PageFault(*each) for each in answer["faults"]]
        return cls(answer["rows"], shards, files, faults)


class BlockMaker:
    """Makes blocks of a database's videos."""

    def __init__(self, records: Records, words: SafeWords, standing: Standing) -> None:
        self._records = records
        self._blocks = JobBlocks({job.name: job for job in load_jobs()})
        self._maker = EntryMaker(words, self._blocks, standing)

    async def read(self, job: BlockJob) -> list[StoredVideo]:
        """Return what is stored of a block's videos."""
        return await read_videos(self._records, job.videos, captions=job.stale)

    def make(self, job: BlockJob, known: Sequence[StoredVideo]) -> MadeBlock:
        """Make a block of what is stored."""
        scripts: dict[str, str] = {}
        for video in known:
            if (text := captions_text(video)) and (script := captions_script(video.written.folder, text)):
                scripts[video.written.folder] = script
        shown = [
            self._maker.show(video, poster=folder in job.posters, captions=folder in scripts)
            for video in known
            for folder in [video.written.folder]
        ]
        rows, faults = [encode(video.row) for video in shown], list(self._blocks.faults.values())
        if not job.stale:
            return MadeBlock(rows, faults=faults)
        pairs = list(shard_files(job.number, [video.entry for video in shown]))
        captions = [OutFile(f"data/{captions_name(folder)}", script) for folder, script in scripts.items()]
        return MadeBlock(rows, [shard for shard, _ in pairs], [*captions, *(file for _, file in pairs)], faults)
