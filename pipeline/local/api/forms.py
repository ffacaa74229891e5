"""Multipart forms, read as they arrive: fields into memory (a little), the one file part onto the disk."""

from __future__ import annotations

from pathlib import Path

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from pipeline.local.api.context import Inlet, bytes_of
from pipeline.local.api.responses import ParsedForm
from pipeline.local.errors import ApiError, invalid

_MOST_FIELD = 1024 * 1024  #: bytes of one text field; captions of a long film have about 300 KB

_MOST_FIELDS = 100


class _Parts:
    """The parser's callbacks. ``file_part`` is the name of the part that is a file."""

    def __init__(self, inlet: Inlet, file_part: str, many: bool) -> None:
        self.lists: dict[str, list[str]] = {}
        self.file_name = ""
        self.file_type = ""
        self.has_file = False
        self._inlet = inlet
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
            self._inlet.take(memoryview(data)[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MOST_FIELD:
            raise ApiError(413, "parameter_invalid", f"The {self._name[:64]!r} field is too long.")

    def on_part_end(self) -> None:
        if self._is_file:
            return
        if sum(map(len, self.lists.values())) >= _MOST_FIELDS:
            raise invalid("The form has too many fields.")
        self.lists.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))


async def read_form(
    request: Request, target: Path, most: int, file_part: str = "file", *, many: bool = False
) -> ParsedForm:
    """Read the whole form, writing the file part to ``target`` (created in any case); ``many`` of them one after another.

    Raises:
        ApiError: 400 for what is not a form, 413 for a file of more than ``most`` bytes.
    """
    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise invalid("The body must be multipart/form-data.")
    with target.open("wb") as file:
        inlet = Inlet(file, most)
        parts = _Parts(inlet, file_part, many)
        names = [name for name in dir(parts) if name.startswith("on_")]
        try:
            parser = MultipartParser(options[b"boundary"], {name: getattr(parts, name) for name in names})  # type: ignore[arg-type]
            async for piece in bytes_of(request):
                parser.write(piece)
            parser.finalize()
        except FormParserError:
            raise invalid("The multipart form cannot be read.") from None
    fields = {name: values[0] for name, values in parts.lists.items()}
    return ParsedForm(fields, parts.lists, parts.file_name, parts.file_type, inlet.size if parts.has_file else -1)
