from pathlib import Path

import pytest

from tests.workers.sandbox.unprivileged import output_as_nobody
from tests.workers.supervision.test_folder_removal import deeper_than_paths_and_recursion_go
from workers.supervision.process.folder_usage import MAX_DEPTH, Uncountable, usage


def test_files_and_folders_are_counted_and_links_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "big").write_bytes(b"x" * 100_000)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    used, files = usage(tmp_path, max_files=100)
    assert files == 4
    assert 100_000 <= used < 150_000  # the folders take a block each, on some file systems


def test_a_hole_takes_nothing(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    assert usage(tmp_path, max_files=1)[0] < 2**20


def test_folders_alone_are_too_many_as_well(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}" / "inside").mkdir(parents=True)
    assert usage(tmp_path, max_files=20)[1] == 20
    assert usage(tmp_path, max_files=19)[1] == 20


@pytest.mark.parametrize("name", ["e", "e" * 255])
def test_what_lies_deeper_than_one_can_look_is_no_hiding_place(tmp_path: Path, name: str) -> None:
    """16 folders with long names are beyond the length of a path; 64 with short ones beyond our patience."""
    (tmp_path / "/".join(["d"] * MAX_DEPTH)).mkdir(parents=True)
    assert usage(tmp_path, max_files=1000)[1] == MAX_DEPTH
    deeper_than_paths_and_recursion_go(tmp_path, name, levels=70)
    with pytest.raises(Uncountable):
        usage(tmp_path, max_files=1000)


def test_a_folder_that_is_closed_to_us_is_no_hiding_place() -> None:
    script = """
import os
from pathlib import Path
from workers.supervision.process.folder_usage import Uncountable, usage
for mode in (0o300, 0o600, 0o000):
    os.makedirs(f"work{mode}/closed")
    open(f"work{mode}/closed/big", "w").close()
    os.chmod(f"work{mode}/closed", mode)
    try:
        print(usage(Path(f"work{mode}"), max_files=10))
    except Uncountable as error:
        print(error)
    os.chmod(f"work{mode}/closed", 0o700)
"""
    assert output_as_nobody(script).splitlines() == ["a folder that cannot be looked into"] * 3
