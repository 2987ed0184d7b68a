"""The end of what a job's process wrote to stderr, fit to be shown to the job's owner."""

import re
from pathlib import Path

from workers.supervision.plain_file import read_plain

TAIL_BYTES = 4096
MAX_LINES = 40
MAX_LINE_CHARACTERS = 300

_PATH = re.compile(r"(?:/[\w.+@~-]+)+/(?=[\w.+@~-])")
"""The folders of an absolute path: where things lie on our machines is nobody's business."""


def log_tail(path: Path) -> list[str]:
    """Its last lines, printable, without the folders of paths; none if it cannot be read."""
    try:
        text = read_plain(path, max_bytes=TAIL_BYTES, only_tail=True).decode(errors="replace")
    except OSError:
        return []
    lines = [_shown(line) for line in text.splitlines()]
    return [line for line in lines if line][-MAX_LINES:]


def _shown(line: str) -> str:
    clean = "".join(c if c.isprintable() else " " for c in line).rstrip()
    return _PATH.sub("…/", clean)[:MAX_LINE_CHARACTERS]
