import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workers.sandbox.unprivileged import output_as_nobody
from workers.supervision.folder_removal import remove_folder


def deeper_than_paths_and_recursion_go(folder: Path, name: str = "name", levels: int = 1100) -> None:
    """Python's own removal gives up below 1,000 folders, and a path has 4,096 characters at most."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


def named_like_what_is_moved(folder: Path) -> None:
    for number in range(3):
        (folder / f"moved-{number}" / f"moved-{number}").mkdir(parents=True)
        (folder / f"moved-{number}" / f"moved-{number + 3}").mkdir()
        (folder / f"moved-{number + 3}").touch()


def pipes_links_and_odd_names(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / os.fsdecode(b"\xff\n")).mkdir()


def nothing(folder: Path) -> None:
    assert folder.is_dir()


@pytest.mark.parametrize(
    "fill", [deeper_than_paths_and_recursion_go, named_like_what_is_moved, pipes_links_and_odd_names, nothing]
)
def test_a_folder_goes_whatever_is_in_it_and_nothing_else(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    (folder := tmp_path / "folder").mkdir()
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    fill(folder)
    remove_folder(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (tmp_path / "outside" / "deep").is_dir()


def test_a_link_in_its_place_is_left_with_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "folder").symlink_to(tmp_path / "outside")
    remove_folder(tmp_path / "folder")
    assert (tmp_path / "outside" / "file").exists()


def test_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    remove_folder(tmp_path / "none")


def test_an_ordinary_user_removes_folders_that_are_closed_to_it() -> None:
    """Root would enter them anyway. A folder without its rights could be filled, and would stay for good."""
    script = """
import os
from pathlib import Path
from workers.supervision.folder_removal import remove_folder
os.makedirs("folder/closed/inner")
for path in ("folder/closed/big", "folder/closed/inner/file"): open(path, "w").close()
os.chmod("folder/closed/inner", 0o000)
os.chmod("folder/closed", 0o300)
os.chmod("folder", 0o500)
remove_folder(Path("folder"))
print(os.getuid() != 0, os.path.exists("folder"))
"""
    assert output_as_nobody(script).strip() == "True False"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "folder" / "a" / "b").mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    remove_folder(tmp_path / "folder")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
