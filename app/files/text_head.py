"""Whether a file begins as text, and which kind of table such text is."""

import codecs
from typing import Literal, NamedTuple

_WHITESPACE = frozenset("\t\n\r")
_DELIMITERS = frozenset(",;\t|")
_UTF8_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Table = Literal["jsonl", "csv"]


class NoTable(NamedTuple):
    """Text that is none."""

    what: str
    meant: Table | None = None
    """A table all the same, in an encoding that its parser would refuse."""


def table_of_text(head: bytes, *, whole: bool) -> Table | NoTable | None:
    """The kind of table, or None if the bytes are no text. `whole`: the file has no more."""
    if head.startswith(_UTF16_MARKS):
        looks_like_json = head[2:].replace(b"\0", b"").lstrip()[:1] in {b"{", b"["}
        return NoTable("UTF-16 text", "jsonl" if looks_like_json else "csv")
    text = _decoded(head, whole=whole)
    return None if text is None else _table_of(text.removeprefix(_UTF8_MARK))


def _decoded(head: bytes, *, whole: bool) -> str | None:
    try:
        # a character may be cut off at the end of the head
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    return text if all(c in _WHITESPACE or (c >= " " and c != "\x7f") for c in text) else None


def _table_of(text: str) -> Table | NoTable:
    content = text.strip()
    if not content:
        return NoTable("blank")
    if content[0] in "{[":
        return "jsonl"
    if content[0] == "<":
        return NoTable("HTML or XML")
    has_lines = "\n" in content or "\r" in content
    return "csv" if has_lines or _DELIMITERS & set(text) else NoTable("text of a single line without a delimiter")
