"""Every name that reaches the disk: made of our own letters, or refused. Nothing is written, read or removed elsewhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.ask import AskFreely
from pipeline.config.queries import StandingQuery
from pipeline.core.errors import ConfigError, InputError, ReelmillError
from pipeline.ingest.remote_names import build_upload_name
from pipeline.ports.sink import OutFile
from pipeline.provider.dialects.calls import path_segment
from pipeline.sink import layout
from pipeline.sink.disk import DiskSink
from pipeline.source.youtube.storage.folder import DownloadFolder
from tests.security.hostile_text import PATHS, TEXTS

NAMES = st.one_of(st.sampled_from(PATHS), TEXTS, st.text(alphabet="./\\~ab\0 \n", max_size=12))


@contextmanager
def fenced() -> Iterator[tuple[Path, Path]]:
    """Give (a folder around everything, the output folder in it); nothing else may come to be in there."""
    with TemporaryDirectory() as name:
        around = Path(name).resolve()
        output = around / "deep" / "er" / "out"
        (around / "video.json").write_text("{}", encoding="utf-8")
        before = everything(around)
        yield around, output
        strange = {path for path in everything(around) - before if output != path and output not in path.parents}
        assert strange <= {around / "deep", around / "deep" / "er"}, strange
        assert (around / "video.json").read_text(encoding="utf-8") == "{}"


def everything(folder: Path) -> set[Path]:
    """Return all paths below a folder; links are not followed."""
    return {Path(top) / name for top, folders, files in os.walk(folder) for name in (*folders, *files)}


@given(NAMES, NAMES)
def test_a_folder_is_made_of_letters(subject: str, title: str) -> None:
    """Titles and keys of any kind: one plain name."""
    for apart in (False, True):
        name = layout.folder(subject, [title], apart=apart)
        assert layout.is_video_folder(name)
        assert Path(name).name == name
        assert len(name.encode()) <= (128 if apart else 120)


@settings(max_examples=60)
@given(NAMES, NAMES, NAMES)
def test_the_sink_writes_inside_or_not_at_all(folder: str, name: str, listed: str) -> None:
    """Whatever a job calls its file, and whatever an old record claims as ours: inside the folder, or an error of ours."""

    async def work(output: Path) -> None:
        sink, codes = DiskSink(output), set[str]()
        good = layout.folder("k", ["t"])
        for where, what in ((folder, "a.txt"), (good, name), (good, f"raw/{name}")):
            try:
                await sink.write(where, [OutFile(what, "x"), OutFile("video.json", json.dumps({"files": [listed]}))])
            except ReelmillError as error:
                codes.add(error.trouble.code)
        await sink.write(good, [OutFile("video.json", "{}")])  # drops what the record listed
        assert codes <= {"output_name"}
        assert await sink.missing({good: {name: 1}}) or layout.is_file(name)

    with fenced() as (_, output):
        anyio.run(work, output)


def test_a_record_cannot_have_foreign_files_removed(tmp_path: Path) -> None:
    """A video.json that was tampered with lists files elsewhere: they stay, also behind a link."""
    output, kept = tmp_path / "out", tmp_path / "kept.txt"
    kept.write_text("mine", encoding="utf-8")
    name = layout.folder("k", ["t"])
    home = output / name
    home.mkdir(parents=True)
    (home / "raw").symlink_to(tmp_path)
    listed = ["../../kept.txt", str(kept), "raw/kept.txt", "../x", "raw/../../kept.txt"]
    (home / "video.json").write_text(json.dumps({"files": listed}), encoding="utf-8")

    async def work() -> None:
        sink = DiskSink(output)
        with pytest.raises(ReelmillError):
            await sink.write(name, [OutFile("raw/answer.json", "{}"), OutFile("video.json", "{}")])
        (home / "raw").unlink()
        await sink.write(name, [OutFile("video.json", "{}")])

    anyio.run(work)
    assert kept.read_text(encoding="utf-8") == "mine"


@given(NAMES, NAMES)
def test_an_upload_has_a_plain_name(key: str, path: str) -> None:
    """The name in the account, and in the platform's forms: lower case, digits, hyphens and one ending."""
    name = build_upload_name(key, 3, path)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert (name.count("."), len(name) <= 130) == (1, True)


@given(NAMES)
def test_an_id_of_the_platform_stays_one_segment(given_id: str) -> None:
    """Ids that come back from a platform are put into addresses: they never make another path of them."""
    try:
        quoted = path_segment(given_id)
    except ReelmillError:
        return
    assert re.fullmatch("[A-Za-z0-9_-]{1,128}", quoted)


@given(NAMES)
def test_names_in_the_configuration_are_plain_or_refused(name: str) -> None:
    """Queries and questions name files of their own."""
    try:
        query = StandingQuery.model_validate({"name": name, "text": "x"})
    except ValidationError:
        pass
    else:
        assert layout.is_file(f"{query.name}.json")
    try:
        params = AskFreely().params({"name": name, "prompt": "x"})
    except ConfigError:
        return
    assert layout.is_file(f"{params['name']}.md")


@given(NAMES)
def test_a_download_folder_is_below_its_base(video: str) -> None:
    """Video ids are checked where they come in; one that was not is refused before it names a folder."""
    base = Path("/media")
    try:
        path = DownloadFolder(base, video).path
    except InputError:
        return
    assert path.parent == base
    assert path.name == Path(path.name).name
