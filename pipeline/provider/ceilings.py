"""What each kind of platform takes. Known before anything is opened or sent."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal

from pipeline.media.limits import MAX_PIXELS
from pipeline.ports.video_api import Ceilings
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.media import V13

#: By the value of ``[provider] api``.
_VENDOR: Mapping[str, Ceilings] = {"v1.2": V12.ceilings, "v1.3": V13.ceilings}
_ANY_BYTES = 10**15  #: more than a disk holds
#: The local platform reads whatever can be opened: one form or many parts, as long as the disk has room.
_LOCAL: Mapping[str, Ceilings] = {
    api: Ceilings(
        direct_bytes=_ANY_BYTES if api == "v1.2" else vendor.direct_bytes,  # v1.2 has no uploads in parts
        multipart_bytes=_ANY_BYTES,
        url_bytes=vendor.url_bytes,
        min_seconds=0.01,
        indexed_min_seconds=0.01,
        window_seconds=inf,
        max_seconds=inf,
        min_side=1,
        max_width=_ANY_BYTES,
        max_height=_ANY_BYTES,
        max_aspect=inf,
        max_pixels=MAX_PIXELS,
    )
    for api, vendor in _VENDOR.items()
}


def platform_ceilings(kind: Literal["local", "twelvelabs"], api: str) -> Ceilings:
    """Return what a platform of this kind takes over a version of the API."""
    return (_LOCAL if kind == "local" else _VENDOR)[api]
