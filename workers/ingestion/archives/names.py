"""Which names an archive's entries may have. A name that is returned can be created below any folder.

Printable letters of every script are allowed, since pictures are called what people call them. Backslashes are taken
for separators only to see that they lead nowhere; names from Windows that need them are refused.
"""

import re
import unicodedata

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.archives.limits import ArchiveLimits

_DRIVE = re.compile(r"[A-Za-z]:")
_SEPARATORS = re.compile(r"[/\\]")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)
_JOINERS = "\u200c\u200d"
"""Invisible, but Persian is misspelt without the first, and families among the emoji need the second."""


def safe_name(raw: str, limits: ArchiveLimits) -> str:
    """The name in NFC, without a leading './'; '' is the archive's own folder. Raises ProblemFound.

    A folder's name is passed without the slash at its end.
    """
    refuse_escapes(raw)
    name = unicodedata.normalize("NFC", raw)
    while name.startswith("./"):
        name = name[2:]
    if name in {"", "."}:
        return ""
    _check_size(name, limits)
    for component in name.split("/"):
        _check_component(component, raw)
    return name


def is_litter(raw: str) -> bool:
    """Whether an archiver on a Mac added it: resource forks and the folder's view settings. Nobody asked for them."""
    components = raw.removeprefix("./").rstrip("/").split("/")
    return components[0] == "__MACOSX" or components[-1] == ".DS_Store" or components[-1].startswith("._")


def refuse_escapes(raw: str) -> None:
    """Raises ProblemFound for a name that leads out of the folder it is meant for, on any system."""
    if raw.startswith(("/", "\\")) or _DRIVE.match(raw):
        raise refuse("archive_path_traversal", "An entry's name is absolute; names must be relative.", entry=raw)
    if ".." in _SEPARATORS.split(raw):
        raise refuse("archive_path_traversal", "An entry's name holds '..'; names must stay inside.", entry=raw)


def _check_size(name: str, limits: ArchiveLimits) -> None:
    if len(name.encode()) > limits.max_name_bytes:
        raise _bad(name, f"is longer than {limits.max_name_bytes} bytes")
    if name.count("/") > limits.max_depth:
        raise _bad(name, f"lies more than {limits.max_depth} folders deep")


def _check_component(component: str, name: str) -> None:
    if component in {"", "."}:
        raise _bad(name, "has an empty component")
    if "\\" in component:
        raise _bad(name, "holds a backslash; '/' separates folders")
    if not component.isprintable() and not all(map(_is_visible, component)):
        raise _bad(name, "holds a control character or one that cannot be seen")
    if component.endswith(".") or component[-1].isspace():
        raise _bad(name, "has a component that ends in a dot or a space")
    if _DEVICE.fullmatch(component):
        raise _bad(name, "is that of a device on Windows")


def _is_visible(character: str) -> bool:
    # spaces of any width are fine: macOS puts a narrow one into the names of screenshots
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def _bad(name: str, why: str) -> ProblemFound:
    return refuse("archive_bad_name", f"An entry's name {why}.", entry=name)
