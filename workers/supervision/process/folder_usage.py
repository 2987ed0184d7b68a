"""What a job's folder takes on disk, counted while the job writes to it and may want to hide some of it."""

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

MAX_DEPTH = 64
"""Of folders; those of archives are at most 32 deep."""


class Uncountable(Exception):
    """The message ends a sentence that begins with who made it."""


def usage(folder: Path, *, max_files: int) -> tuple[int, int]:
    """Bytes on disk below a folder, and how many files and folders; stops counting beyond `max_files`.

    Raises Uncountable.
    """
    used = files = 0
    waiting = [(str(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Uncountable(f"folders more than {MAX_DEPTH} deep")
        try:
            entries = _entries(path, max_files + 1 - files)
        except OSError as error:  # its maker has closed it, or its path is longer than paths can be
            raise Uncountable("a folder that cannot be looked into") from error
        files += len(entries)
        used += sum(blocks for _, blocks, _ in entries) * 512
        if files > max_files:
            break
        waiting += [(below, depth + 1) for below, _, is_folder in entries if is_folder]
    return used, files


def _entries(folder: str, most: int) -> list[tuple[str, int, bool]]:
    """(path, blocks, whether it is a folder); what goes away meanwhile is left out."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in islice(entries, most):
            with suppress(FileNotFoundError):
                blocks = entry.stat(follow_symlinks=False).st_blocks
                found.append((entry.path, blocks, entry.is_dir(follow_symlinks=False)))
    return found
