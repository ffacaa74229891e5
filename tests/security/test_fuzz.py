"""Foreign bytes: manifests, configurations, answers of both dialects, captions, answers of models. No crash, no hang.

Always the same inputs, so that a run of the gate is like another: each beginning as it is, cut everywhere, and after
accidents; and what hypothesis makes up. ``tests.security.readers`` says how to go on for hours.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.security.measured import MEGABYTE, measured
from tests.security.readers import BEGINNINGS, READ, mutated

ACCIDENTS = {"manifest": 1500, "config": 1000, "dialect": 12_000, "captions": 2500, "answer": 12_000}
#: Processor seconds for one input: hundreds of times what the slowest needs.
MOMENT = 5.0


def read(name: str, data: bytes) -> float:
    """Read it and return the processor seconds that took; a broken promise names its input."""
    began = time.process_time()
    try:
        READ[name](data)
    except BaseException as error:
        error.add_note(f"{name}: {data[:2000]!r}")
        raise
    return time.process_time() - began


@pytest.mark.parametrize("name", READ)
def test_every_beginning_is_read(name: str) -> None:
    """Whole, cut in the middle, and with every way to begin that the reader tells apart."""
    for data in BEGINNINGS[name]:
        for cut in (len(data), len(data) // 2, len(data) // 3, 1, 0):
            for head in range(0, 48, 5) if name == "dialect" else (0,):
                begun = bytes([head, head % 18, head % 3]) + data[:cut] if name == "dialect" else data[:cut]
                assert read(name, begun) < MOMENT, begun[:2000]


@pytest.mark.parametrize("name", READ)
def test_accidents_are_survived(name: str) -> None:
    """Bytes lost, doubled, swapped and put in: the same ones in every run."""
    rng = random.Random(f"accidents of {name}")
    for _ in range(ACCIDENTS[name]):
        data = mutated(rng.choice(BEGINNINGS[name]), rng)
        assert read(name, data) < MOMENT, data[:2000]


@pytest.mark.parametrize("name", READ)
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(
    data=st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
)
def test_anything_is_survived(name: str, data: bytes) -> None:
    """What nobody would send."""
    assert read(name, data) < MOMENT


@pytest.mark.parametrize("name", sorted(READ.keys() - {"manifest"}))
def test_memory_is_bounded(name: str) -> None:
    """A quarter of a megabyte of one byte or line never takes a hundred megabytes of memory."""
    long = (
        b"\n" * MEGABYTE,
        b"a" * MEGABYTE,
        b"a,b\n" * (MEGABYTE // 4),
        b'{"source": "x"}\n' * (MEGABYTE // 64),
        b"[" * MEGABYTE,
    )
    tracemalloc.start()
    try:
        for data in long:
            tracemalloc.reset_peak()
            READ[name](data[: MEGABYTE // 4])
            assert tracemalloc.get_traced_memory()[1] < 96 * MEGABYTE, (name, data[:20])
    finally:
        tracemalloc.stop()


READING = """
from pathlib import Path
from pipeline.source.manifest.reader import read_lines
def count(path):
    return sum(1 for _ in read_lines([path], stdin=sys.stdin.buffer, cwd=Path("/"), known_job=lambda _: True))
"""


LONG = (
    ("list.txt", b"film.mp4\n", 60_000),
    ("list.csv", b"source,id\n", 60_000),
    ("list", b"\n", 1_000_000),
    ("list.txt", b"x" * MEGABYTE, 20),
    ("list.csv", b'"', 500_000),
    ("list.csv", b'"a\n', 200_000),
    ("list.jsonl", b"[" * 50_000 + b"\n", 50),
    ("list.csv", b"," * 60_000 + b"\n", 50),
)


@pytest.mark.parametrize(("name", "line", "times"), LONG)
def test_a_manifest_of_megabytes_takes_little_room(tmp_path: Path, name: str, line: bytes, times: int) -> None:
    """Many lines, one line without an end, quotes that never close, cells without number."""
    path = tmp_path / name
    path.write_bytes(line * times)
    cost = measured(READING, "found = count(sys.argv[1])", path)
    assert cost.found.isdigit(), cost
    assert cost.grown < 48 * MEGABYTE, cost
    assert cost.cpu < 20, cost
