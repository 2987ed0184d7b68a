import os
from pathlib import Path, PurePosixPath

import pytest
from lowbit import UnsuitableSource
from lowbit.folder_walk import walk

from tests.client.folders import fill


def everything(_: PurePosixPath, is_folder: bool) -> bool:
    return True


def names(folder: Path) -> list[str]:
    return [member.name for member in walk(folder, everything).members]


def test_files_are_named_below_the_folder_in_one_order(tmp_path: Path) -> None:
    fill(tmp_path, {"b/2": 1, "b.txt": 1, "B": 1, "ä.png": 1, "a/x/1": 1})
    # by code point: "." is 0x2e and "/" is 0x2f
    assert names(tmp_path) == ["B", "a/x/1", "b.txt", "b/2", "ä.png"]


def test_a_folder_that_is_not_wanted_is_not_looked_into(tmp_path: Path) -> None:
    fill(tmp_path, {"kept": 3, "dropped": 1, ".git/objects/1": 1})
    (tmp_path / ".git" / "out").symlink_to("/etc")
    walked = walk(tmp_path, lambda name, _: name.name == "kept")
    assert [(member.name, member.bytes) for member in walked.members] == [("kept", 3)]
    assert walked.left_out == (".git/", "dropped")


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    fill(tmp_path, {"blobs/1": 5})
    (tmp_path / "model").symlink_to("blobs/1")
    (tmp_path / "again").symlink_to("blobs")
    walked = walk(tmp_path, everything)
    assert [(member.name, member.bytes) for member in walked.members] == [("again/1", 5), ("blobs/1", 5), ("model", 5)]


def test_a_folder_reached_by_a_link_is_as_any_other(tmp_path: Path) -> None:
    fill(tmp_path / "real", {"blobs/1": 5})
    (tmp_path / "real" / "model").symlink_to("blobs/1")
    (tmp_path / "latest").symlink_to("real")
    assert names(tmp_path / "latest") == ["blobs/1", "model"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../secret", "outside of the folder"),
        ("/etc/passwd", "outside of the folder"),
        ("../folder-too/x", "outside of the folder"),  # a name that begins with the folder's
        ("..", "outside of the folder"),
        ("absent", "leads nowhere"),
        ("link", "leads nowhere"),  # itself
        (".", "a folder that it lies in"),
        ("sub/up", "a folder that it lies in"),
    ],
)
def test_links_to_elsewhere_and_in_circles_are_refused(tmp_path: Path, target: str, message: str) -> None:
    fill(tmp_path, {"folder/a": 1, "folder/sub/b": 1, "folder-too/x": 1, "secret": 1})
    folder = tmp_path / "folder"
    (folder / "sub" / "up").symlink_to("..")
    if target != "sub/up":
        (folder / "sub" / "up").unlink()
    (folder / "link").symlink_to(target)
    with pytest.raises(UnsuitableSource, match=message):
        names(folder)


def test_pipes_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    fill(tmp_path, {"file": 1})
    walked = walk(tmp_path, everything)
    assert [member.name for member in walked.members] == ["file"]
    assert walked.left_out == ("link", "pipe")


@pytest.mark.parametrize(("name", "message"), [(b"\xff.png", "UTF-8"), (b"a\nb.png", "control"), (b"\x7f", "control")])
def test_names_that_are_no_text_are_refused(tmp_path: Path, name: bytes, message: str) -> None:
    (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(UnsuitableSource, match=message):
        names(tmp_path)
