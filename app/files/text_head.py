"""Whether a file begins as text, and which kind of table such text is."""

import codecs
from typing import Literal, NamedTuple

from app.contracts.encodings import FROM_UTF_16, RE_ENCODE, is_wide, marked_encoding, undecodable

_WHITESPACE = frozenset("\t\n\r")
_DELIMITERS = frozenset(",;\t|")
_UTF8_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

Table = Literal["jsonl", "csv"]


class NoTable(NamedTuple):
    """Text that is none."""

    what: str
    meant: Table | None = None
    """A table all the same, in an encoding that its parser would refuse."""
    hint: str = ""


def table_of_text(head: bytes, *, whole: bool) -> Table | NoTable | None:
    """The kind of table, or None if the bytes are no text. `whole`: the file has no more."""
    marked = marked_encoding(head)
    if marked is not None:
        return NoTable(f"{marked} text", _meant(head[2:].replace(b"\0", b"")), FROM_UTF_16)
    try:
        # a character may be cut off at the end of the head
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    return _table_of(text.removeprefix(_UTF8_MARK)) if _is_plain(text) else None


def table_in_another_encoding(head: bytes, *, whole: bool) -> NoTable | None:
    """For bytes that are no text in UTF-8: the table that they are in UTF-16, or with a byte for each letter."""
    if is_wide(head):
        plain = head.replace(b"\0", b"")
        return NoTable("UTF-16 text", _meant(plain), FROM_UTF_16) if _is_table(plain) else None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError as error:
        begin = head.rfind(b"\n", 0, error.start) + 1
        line = head.count(b"\n", 0, error.start) + 1
        wrong = undecodable(head[begin:], error.start - begin)
        found = NoTable(f"text, but not in UTF-8: line {line} has {wrong}", _meant(head), RE_ENCODE)
        return found if _is_table(head) else None
    return None


def _is_plain(text: str) -> bool:
    return all(c in _WHITESPACE or (c >= " " and c != "\x7f") for c in text)


def _is_table(letters: bytes) -> bool:
    """Latin-1 gives each byte a letter, so that what is no text shows by its control characters."""
    text = letters.decode("latin-1")
    return _is_plain(text) and not isinstance(_table_of(text), NoTable)


def _meant(letters: bytes) -> Table:
    return "jsonl" if letters.lstrip()[:1] in {b"{", b"["} else "csv"


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
