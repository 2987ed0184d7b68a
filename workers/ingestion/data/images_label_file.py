"""labels.csv and labels.jsonl: which label each file of a zip has."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from app.contracts.encodings import RE_ENCODE
from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.strict_json import NotStrictJson, parse_json

Label = int | str
"""An index of a class, or its name."""

MAX_LABEL_FILE_BYTES = 64 << 20


class _Row(BaseModel):
    """Columns that are not ours are left alone: people keep more than labels in such files."""

    model_config = ConfigDict(extra="ignore")

    file: Annotated[StrictStr, Field(min_length=1)]
    label: StrictInt | Annotated[StrictStr, Field(min_length=1)]


def read_labels(data: bytes, entry: str) -> dict[str, Label]:
    """By the file's name as it is written there. Raises ProblemFound with the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        hint = f"Line {line} has byte 0x{byte:02X}. {RE_ENCODE}"
        raise refuse("labels_invalid", "The file of labels is not UTF-8.", entry=entry, hint=hint) from error
    labels: dict[str, Label] = {}
    for line, row in _csv_rows(text, entry) if entry.endswith(".csv") else _jsonl_rows(text, entry):
        file = row.file.removeprefix("./")
        if not file:
            raise _invalid(entry, line, "It names no file.")
        if file in labels:
            raise _invalid(entry, line, f"{quoted(file)} has a label already.")
        labels[file] = row.label
    return labels


def _jsonl_rows(text: str, entry: str) -> Iterator[tuple[int, _Row]]:
    # only line feeds end a line: str.splitlines would also cut at characters that JSON allows in a string
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, _row(parse_json(line), entry, number)
            except NotStrictJson as error:
                raise _invalid(entry, number, f"It is not JSON: {quoted(str(error))}.") from error


def _csv_rows(text: str, entry: str) -> Iterator[tuple[int, _Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header.count("file") != 1 or header.count("label") != 1:
            raise _invalid(entry, 1, "The header does not name the columns file and label.")
        for fields in reader:
            if len(fields) != len(header):
                raise _invalid(entry, reader.line_num, f"It has {len(fields)} fields; the header has {len(header)}.")
            named = dict(zip(header, fields, strict=True))
            yield reader.line_num, _row(named, entry, reader.line_num)
    except csv.Error as error:
        raise _invalid(entry, reader.line_num, f"It cannot be read: {quoted(str(error))}.") from error


def _row(source: object, entry: str, line: int) -> _Row:
    try:
        return _Row.model_validate(source)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = f"{first['loc'][0]}: " if first["loc"] else ""
        raise _invalid(entry, line, f"{place}{first['msg']}.") from error


def _invalid(entry: str, line: int, detail: str) -> ProblemFound:
    example = '{"file": "a/1.png", "label": 0}' if entry.endswith(".jsonl") else "file,label"
    return refuse(
        "labels_invalid",
        f"Line {line}: {detail}",
        entry=entry,
        hint=f"Write `{example}`, with names as in the zip and labels that are integers from 0 or names of classes.",
    )
