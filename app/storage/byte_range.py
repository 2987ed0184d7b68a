"""Which part of an object a reader asks for."""


def range_end(start: int, length: int | None) -> int | None:
    """The position after the last byte wanted, or None for all that follow `start`."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range needs a start and a length of at least 0, not {start} and {length}")
    return None if length is None else start + length
