import fcntl
import os
from pathlib import Path

import pytest

from tests.workers.supervision.test_folder_removal import deeper_than_paths_and_recursion_go
from workers.supervision.scratch import FOLDER, attempt_folder, sweep


def test_the_folder_goes_with_the_attempt(tmp_path: Path) -> None:
    with attempt_folder(tmp_path, "job_1-1") as folder:
        (folder / "file").write_text("x")
        assert folder.stat().st_mode & 0o077 == 0
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_folder_goes_with_an_attempt_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), attempt_folder(tmp_path, "job_1-1"):
        raise ValueError("x")
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_sweep_removes_what_the_dead_left_and_spares_the_living(tmp_path: Path) -> None:
    dead = tmp_path / FOLDER / "job_dead-1"
    dead.mkdir(parents=True)
    (tmp_path / FOLDER / "job_dead-1.lock").touch()
    alive = tmp_path / FOLDER / "job_alive-1"
    alive.mkdir()
    lock = os.open(tmp_path / FOLDER / "job_alive-1.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert sweep(tmp_path) == 1
    assert not dead.exists()
    assert alive.exists()
    os.close(lock)


def test_a_sweep_of_nothing_does_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path) == 0


def test_a_tree_too_deep_to_walk_goes_as_well(tmp_path: Path) -> None:
    with attempt_folder(tmp_path, "job_1-1") as folder:
        deeper_than_paths_and_recursion_go(folder)
    assert list((tmp_path / FOLDER).iterdir()) == []
