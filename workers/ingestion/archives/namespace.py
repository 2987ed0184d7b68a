"""All names of an archive, to see that no two of them could be one file.

File systems differ in whether case and composed letters matter, and readers differ in which of two files wins. So two
names that differ in nothing else are one too many, for files and for the folders above them.
"""

import unicodedata
from typing import Literal, NamedTuple

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.names import is_litter, refuse_escapes, safe_name

_Kind = Literal["file", "folder"]


class _Taken(NamedTuple):
    spelling: str
    kind: _Kind


class Namespace:
    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._taken: dict[str, _Taken] = {}
        self._folders: set[str] = set()
        """As they are spelled: most are named again with each of their files, and folding takes its time."""

    def admit(self, raw: str, kind: _Kind) -> str | None:
        """The safe name of a file to unpack; nothing for folders and litter. Raises ProblemFound.

        A folder may be named as often as the archiver likes, but always in the same way.
        """
        refuse_escapes(raw)
        if is_litter(raw):
            return None
        name = safe_name(raw.removesuffix("/") if kind == "folder" else raw, self._limits)
        if kind == "file":
            self._add_file(name)
            return name
        if name:
            self._add_folders_above(name)
            self._add_folder(name)
        return None

    def _add_file(self, name: str) -> None:
        if not name:
            raise refuse("archive_bad_name", "An entry has no name.")
        self._add_folders_above(name)
        key = _folded(name)
        if key in self._taken:
            raise _duplicate("An entry", self._taken[key], name)
        self._take(key, name, "file")

    def _add_folders_above(self, name: str) -> None:
        slash = name.find("/")
        while slash != -1:
            self._add_folder(name[:slash])
            slash = name.find("/", slash + 1)

    def _add_folder(self, name: str) -> None:
        if name in self._folders:
            return
        key = _folded(name)
        taken = self._taken.get(key)
        if taken is None:
            self._take(key, name, "folder")
        elif taken != (name, "folder"):
            raise _duplicate("A folder", taken, name)

    def _take(self, key: str, name: str, kind: _Kind) -> None:
        if len(self._taken) == self._limits.max_entries:
            raise refuse(
                "archive_too_many_entries",
                f"The archive holds more than {self._limits.max_entries} files and folders, the limit.",
            )
        self._taken[key] = _Taken(name, kind)
        if kind == "folder":
            self._folders.add(name)


def _duplicate(what: str, taken: _Taken, name: str) -> ProblemFound:
    return refuse(
        "archive_duplicate_entry",
        f"{what} has the name of another {taken.kind}, perhaps but for its case or accents.",
        entry=name,
    )


def _folded(name: str) -> str:
    """Equal for names that match without regard to case: definition D145 of the Unicode standard."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
