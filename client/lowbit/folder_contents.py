"""What is sent of a folder: the files that the service can use. The others stay behind, and are named."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lowbit.errors import UnsuitableSource
from lowbit.folder_walk import Member, walk
from lowbit.model_folder import external_data, require_one_model, wanted_of_model
from lowbit.resources import Purpose

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
LABEL_FILES = frozenset({"labels.csv", "labels.jsonl"})


@dataclass(frozen=True)
class Contents:
    """What is packed into one archive."""

    name: str
    """Of the archive, without its suffix."""
    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(member.bytes for member in self.members)


def to_pack(path: Path, purpose: Purpose) -> Contents | None:
    """What has to be packed to send a path: a folder, or a model with its weights in files beside it. Else None.

    Raises:
        UnsuitableSource: a folder holds nothing that the service takes, or more than one model.

    """
    if path.is_dir():
        return _model(path) if purpose == "model" else _images(path)
    if purpose == "model" and path.suffix.lower() == ".onnx" and (weights := external_data(path)):
        files = sorted([path, *weights])
        return Contents(path.stem, tuple(Member(file.name, file, file.stat().st_size) for file in files))
    return None


def title(path: Path) -> str:
    """The name of a file or folder, also where it is given as `.` or `..`."""
    return (path.name if path.name not in {"", ".."} else path.resolve().name) or "folder"


def _model(folder: Path) -> Contents:
    wanted = wanted_of_model(folder)
    walked = walk(folder, lambda name, is_folder: not _is_private(name) and wanted(name, is_folder))
    require_one_model(folder, [member.name for member in walked.members])
    return Contents(title(folder), walked.members, walked.left_out)


def _images(folder: Path) -> Contents:
    walked = walk(folder, lambda name, is_folder: not _is_private(name) and (is_folder or _is_of_images(name)))
    if not any(PurePosixPath(member.name).suffix.lower() in IMAGE_SUFFIXES for member in walked.members):
        raise UnsuitableSource(
            f"{folder} holds no images. A folder of data holds {', '.join(sorted(IMAGE_SUFFIXES))} files, those of "
            "each class in a folder of their own; other data is one file."
        )
    return Contents(title(folder), walked.members, walked.left_out)


def _is_of_images(name: PurePosixPath) -> bool:
    return name.suffix.lower() in IMAGE_SUFFIXES or str(name) in LABEL_FILES


def _is_private(name: PurePosixPath) -> bool:
    return name.name.startswith(".") or name.name in {"__pycache__", "__MACOSX"}
