"""What may precede a tar's header: the name that does not fit into it, in GNU's way or as a pax record, and its size.

What else pax says (times, owners, attributes) is dropped. What it says twice, or of a sparse file, is refused.
"""

from typing import NamedTuple

from app.contracts.problem import ProblemFound, refuse

MAX_EXTENDED_BYTES = 64 << 10
"""Of one such record. Extended attributes are the largest that they hold; file systems limit them to this."""

_NAME, _SIZE, _LINK = b"path", b"size", b"linkpath"
_SPARSE = (b"GNU.sparse.", b"SCHILY.realsize")
_MAX_DIGITS = 20  # of a number of 64 bits


class Override(NamedTuple):
    raw_name: bytes | None = None
    bytes: int | None = None


def parse_pax(data: bytes) -> Override:
    """What a pax header (`x`) says of the entry that follows it. Raises ProblemFound."""
    records = _parse_records(data)
    if records.get(_NAME) == b"":
        raise _damaged()
    size = records.get(_SIZE)
    return Override(records.get(_NAME), None if size is None else _decimal(size))


def check_global_pax(data: bytes) -> None:
    """A pax header for the whole archive (`g`): git writes one with a comment. Raises ProblemFound if it says more."""
    if not _parse_records(data).keys().isdisjoint({_NAME, _SIZE, _LINK}):
        raise refuse("archive_unsupported", "The tar gives all entries one name or size.", hint="Pack the files anew.")


def parse_long_name(data: bytes) -> Override:
    """GNU's `L`: the name, ended by a NUL."""
    return Override(data.removesuffix(b"\x00"))


def _parse_records(data: bytes) -> dict[bytes, bytes]:
    """Records are '<length of the whole> <key>=<value>' and a newline."""
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        length = _decimal(data[position : position + _MAX_DIGITS + 1].partition(b" ")[0])
        record = data[position : position + length]
        position += length
        key, equals, value = record.partition(b" ")[2].partition(b"=")
        if (
            len(record) != length
            or not equals
            or not value.endswith(b"\n")
            or (key in records and key in {_NAME, _SIZE})
        ):
            raise _damaged()
        if key.startswith(_SPARSE):
            raise refuse("archive_unsupported", "An entry is a sparse file.", hint="Use tar without --sparse.")
        records[key] = value[:-1]
    return records


def _decimal(digits: bytes) -> int:
    if not 0 < len(digits) <= _MAX_DIGITS or digits.strip(b"0123456789"):
        raise _damaged()
    return int(digits)


def _damaged() -> ProblemFound:
    return refuse("archive_corrupt", "An extended header of the tar is damaged.")
