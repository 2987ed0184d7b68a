"""Lines of a text file that a stranger sent: each of bounded length, strictly UTF-8, and counted."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from app.contracts.encodings import FROM_UTF_16, RE_ENCODE, marked_encoding, undecodable
from app.contracts.problem import ProblemFound, refuse

MAX_LINE_BYTES = 1 << 20
"""Of a line of JSON, and of a record of CSV. Text that a model reads is far shorter."""

TextFormat = Literal["jsonl_invalid", "csv_invalid"]


class Line(NamedTuple):
    number: int
    text: str
    """With its end."""


def lines_of(path: Path, code: TextFormat) -> Iterator[Line]:
    """Holds one line in memory at a time. Raises ProblemFound under the format's own `code`."""
    with path.open("rb") as file:
        number = 0
        while data := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(data) > MAX_LINE_BYTES:
                raise refuse_line(
                    code, number, f"is longer than {MAX_LINE_BYTES} bytes", "Use npz or Parquet for arrays."
                )
            if number == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            yield Line(number, _decoded(data, number, code))


def refuse_line(code: TextFormat, number: int, what: str, hint: str | None = None) -> ProblemFound:
    return refuse(code, f"Line {number} {what}.", entry=f"line {number}", hint=hint)


def _decoded(data: bytes, number: int, code: TextFormat) -> str:
    marked = marked_encoding(data) if number == 1 else None
    if marked is not None:
        raise refuse_line(code, number, f"begins like {marked}", FROM_UTF_16)
    if b"\0" in data:
        raise refuse_line(code, number, "holds a zero byte, which text in UTF-8 never has", FROM_UTF_16)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8: it has {undecodable(data, error.start)}"
        raise refuse_line(code, number, what, RE_ENCODE) from error
