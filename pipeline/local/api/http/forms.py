"""Multipart forms, read as they arrive: texts into memory, files onto disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from pipeline.core.model import Json
from pipeline.local.api.http.bodies import read_chunks
from pipeline.local.errors import ApiError, invalid

_MOST_FIELD = 1024 * 1024  #: bytes of one text field; captions of a long film have about 300 KB
_MOST_FIELDS = 100


class IncomingFile:
    """A file that arrives: written, counted and hashed, never held in memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)  # what an ETag of object storage is
        self._file = file
        self._most = most

    def write(self, chunk: bytes | memoryview) -> None:
        """Write a chunk; raises ApiError (413) where the file becomes too large."""
        self.size += len(chunk)
        if self.size > self._most:
            raise ApiError(413, "video_filesize_too_large", f"The file is larger than {self._most} bytes.")
        self.md5.update(chunk)
        self._file.write(chunk)


@dataclass(frozen=True, slots=True)
class ParsedForm:
    """A form: the values of each text field, and what its file is."""

    values: dict[str, list[str]]
    file_name: str = ""
    file_type: str = ""
    file_size: int = -1  #: bytes; -1 without a file part

    def fields(self, *lists: str) -> dict[str, Json]:
        """Return the first value of each field, all values of ``lists``."""
        first = {name: values[0] for name, values in self.values.items() if name not in lists}
        return {**first, **{name: [value for value in self.values.get(name, ()) if value] for name in lists}}


class _Parts:
    """The parser's callbacks. ``file_part`` is the name of the part that is a file."""

    def __init__(self, incoming: IncomingFile, file_part: str, many: bool) -> None:
        self.values: dict[str, list[str]] = {}
        self.file_name = ""
        self.file_type = ""
        self.has_file = False
        self._incoming = incoming
        self._file_part = file_part
        self._many = many
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._is_file = False
        self._text = bytearray()

    def on_part_begin(self) -> None:
        self._headers = {}
        self._text = bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == self._file_part
        if not self._name:
            raise invalid("A part of the form has no name.")
        if self._is_file:
            if self.has_file and not self._many:
                raise invalid(f"The form has more than one {self._file_part!r} part.")
            self.has_file = True
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.file_type = self._headers.get("content-type", b"").decode("latin-1")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._incoming.write(memoryview(data)[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MOST_FIELD:
            raise ApiError(413, "parameter_invalid", f"The {self._name[:64]!r} field is too long.")

    def on_part_end(self) -> None:
        if self._is_file:
            return
        if sum(map(len, self.values.values())) >= _MOST_FIELDS:
            raise invalid("The form has too many fields.")
        self.values.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))


async def read_form(
    request: Request, target: Path, most: int, file_part: str = "file", *, many: bool = False
) -> ParsedForm:
    """Read a form and write its file part to ``target``, always created.

    Args:
        request: not read before.
        target: with ``many`` file parts, all of them one after another.
        most: bytes of the file.
        file_part: its name.
        many: whether the file part may occur more than once.

    Raises:
        ApiError: 400 for what is not a form, 413 for a file that is too large.
    """
    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise invalid("The body must be multipart/form-data.")
    with target.open("wb") as file:
        incoming = IncomingFile(file, most)
        parts = _Parts(incoming, file_part, many)
        callbacks = {name: getattr(parts, name) for name in dir(parts) if name.startswith("on_")}
        try:
            parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
            async for chunk in read_chunks(request):
                parser.write(chunk)
            parser.finalize()
        except FormParserError:
            raise invalid("The multipart form cannot be read.") from None
    size = incoming.size if parts.has_file else -1
    return ParsedForm(parts.values, parts.file_name, parts.file_type, size)
