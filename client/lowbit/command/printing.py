"""Data on stdout: JSON, and columns that line up in a terminal and in a pipe alike."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_lines(lines: Iterable[object]) -> None:
    for line in lines:
        sys.stdout.write(f"{printable(str(line))}\n")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns padded to their widest cell. Nothing is cut: an id that is cut off is of no use."""
    table = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def print_facts(facts: Mapping[str, str]) -> None:
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        sys.stdout.write(f"{name.ljust(width)}  {printable(value)}\n")


def printable(text: str) -> str:
    """Text that cannot steer the terminal: names come from files that others made."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
