"""The files below a folder, without following a link to anywhere else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lowbit.errors import UnsuitableSource


@dataclass(frozen=True)
class Member:
    """A file on its way into an archive."""

    name: str
    """Below the folder, with slashes; its name in the archive."""
    path: Path
    bytes: int


@dataclass(frozen=True)
class Walked:
    members: tuple[Member, ...]
    """By name, so that the same files make the same archive anywhere."""
    left_out: tuple[str, ...]
    """What was not wanted: files, and folders with a slash behind."""


Wanted = Callable[[PurePosixPath, bool], bool]
"""Of a name below the folder, and whether it is a folder."""


def walk(folder: Path, wanted: Wanted) -> Walked:
    """Every wanted file.

    Raises:
        UnsuitableSource: a wanted file is a link to outside of the folder, or its name is no text.

    """
    members: list[Member] = []
    left_out: list[str] = []
    for name, path in _wanted(folder, PurePosixPath(), wanted, left_out, (folder.resolve(),)):
        members.append(Member(name.as_posix(), path, path.stat().st_size))
    return Walked(tuple(sorted(members, key=lambda member: member.name)), tuple(sorted(left_out)))


def require_inside(path: Path, folder: Path) -> Path:
    """Where a path really is. What a folder links to elsewhere was not meant to be sent with it."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise UnsuitableSource(f"{path} is a link that leads nowhere.") from error
    if not real.is_relative_to(folder.resolve()):
        raise UnsuitableSource(
            f"{path} is a link to outside of the folder. Make a copy that holds the files themselves: cp -rL."
        )
    return real


def _wanted(
    folder: Path, inside: PurePosixPath, wanted: Wanted, left_out: list[str], above: tuple[Path, ...]
) -> Iterator[tuple[PurePosixPath, Path]]:
    """`above`: the folders on the way here, the outermost first."""
    for path in (folder / inside).iterdir():
        name = inside / path.name
        is_folder = path.is_dir()
        if not wanted(name, is_folder):
            left_out.append(f"{name}/" if is_folder else str(name))
            continue
        _require_text(path)
        real = require_inside(path, above[0]) if path.is_symlink() else path
        if is_folder:
            yield from _wanted(folder, name, wanted, left_out, _further(above, path))
        elif real.is_file():
            yield name, path
        else:  # a device or a pipe: reading it might never end
            left_out.append(str(name))


def _further(above: tuple[Path, ...], path: Path) -> tuple[Path, ...]:
    real = path.resolve()
    if real in above:
        raise UnsuitableSource(f"{path} is a link to a folder that it lies in.")
    return (*above, real)


def _require_text(path: Path) -> None:
    """A name of other bytes than UTF-8, or with control characters, fits into no archive that the service takes."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise UnsuitableSource(f"The name {path.name!r} is not UTF-8. Rename it.") from error
    if any(char < " " or char == "\x7f" for char in path.name):
        raise UnsuitableSource(f"The name {path.name!r} holds control characters. Rename it.")
