"""Reads `multipart/form-data` as it arrives.

The framework's own form reader stores a whole upload before an endpoint sees it, so no limit could stop it early.
"""

from collections.abc import AsyncIterator
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.contracts.problem import quoted, refuse
from app.files.reception import Reception
from app.files.sniff import Purpose, as_purpose

MAX_FIELD_BYTES = 4096
MAX_HEADER_BYTES = 8192
MAX_OVERHEAD_BYTES = 64 * 1024
"""Of a whole form beside its file: boundaries, headers and fields."""
FIELDS = frozenset({"file", "purpose"})

_EXAMPLE = "curl -F purpose=model -F file=@model.onnx"


class FormUpload:
    """One upload form: the part `file` goes to the reception, the part `purpose` is kept as text."""

    def __init__(self, content_type: str, into: Reception) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise refuse("bad_request", "The form's Content-Type names no boundary.", hint=_EXAMPLE)
        self.into = into
        self.filename: str | None = None
        self.purpose: Purpose | None = None
        self._name = ""
        self._value = b""
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, callbacks=self._callbacks())
        except FormParserError as error:
            raise refuse("bad_request", "The form's boundary is too long.", hint=_EXAMPLE) from error

    async def read(self, stream: AsyncIterator[bytes]) -> None:
        received = 0
        try:
            async for chunk in stream:
                self._parser.write(chunk)
                received += len(chunk)
                if received - self.into.bytes > MAX_OVERHEAD_BYTES:  # the parser takes headers and empty lines for ever
                    detail = f"The form has more than {MAX_OVERHEAD_BYTES} bytes beside its file."
                    raise refuse("bad_request", detail, hint=_EXAMPLE)
            self._parser.finalize()
        except FormParserError as error:
            raise refuse("bad_request", "The form is not well formed.", hint=_EXAMPLE) from error
        if not self._ended:
            raise refuse("bad_request", "The form ends before its last boundary.", hint=_EXAMPLE)
        if self.filename is None:
            raise refuse("validation_error", "The form has no file.", pointer="/file", hint=_EXAMPLE)

    def _callbacks(self) -> Any:  # noqa: ANN401  the parser's callback type is private to it
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": lambda data, start, end: self._header_grows(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._header_grows(1, data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._part_named,
            "on_part_data": lambda data, start, end: self._part_grows(data[start:end]),
            "on_part_end": self._part_ends,
            "on_end": self._form_ends,
        }

    def _part_begins(self) -> None:
        self._name, self._value, self._disposition = "", b"", b""

    def _header_grows(self, which: int, data: bytes) -> None:
        self._header[which] += data
        if len(self._header[which]) > MAX_HEADER_BYTES:
            raise refuse("bad_request", "A header of the form is too long.", hint=_EXAMPLE)

    def _header_ends(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _part_named(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name not in FIELDS:
            detail = "The form has a field that is not known; `file` and `purpose` are."
            raise refuse("validation_error", detail, pointer=f"/{quoted(self._name)}", hint=_EXAMPLE)
        if self._name == "file":
            if self.filename is not None:
                raise refuse("validation_error", "The form may hold one file.", pointer="/file", hint=_EXAMPLE)
            self.filename = options.get(b"filename", b"upload").decode("utf-8", "replace")

    def _part_grows(self, data: bytes) -> None:
        if self._name == "file":
            self.into.write(data)
            return
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            raise refuse("validation_error", "The field is too long.", pointer=f"/{self._name}")

    def _part_ends(self) -> None:
        if self._name == "purpose":
            self.purpose = as_purpose(self._value.decode("utf-8", "replace"))
            self.into.expect(self.purpose)

    def _form_ends(self) -> None:
        self._ended = True
