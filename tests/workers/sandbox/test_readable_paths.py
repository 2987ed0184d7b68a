"""The job's process sees what Python is read from, and nothing that merely lies beside it."""

import sys
from pathlib import Path

import pytest

import workers
from workers.sandbox.readable_paths import readable_paths, source_folders

ROOT = Path(workers.__path__[0]).parent


def test_python_its_packages_and_ours_are_readable() -> None:
    shown = readable_paths()
    for needed in (sys.executable, Path(sys.executable).resolve(), pytest.__file__, workers.__file__, Path.__module__):
        if Path(needed).is_absolute():
            assert any(Path(needed).is_relative_to(path) for path in shown), needed


def test_of_a_source_tree_only_the_packages_are_shown() -> None:
    """`.env` holds the passwords of the deployment, and `tests` and `docs` are nobody's business."""
    shown = readable_paths()
    assert ROOT / "workers" in shown
    assert source_folders()[0] == ROOT or ROOT in source_folders()
    for name in (".env", "docs", "demo-output", "docker-compose.yml"):
        assert not any((ROOT / name).is_relative_to(path) for path in shown), name


def test_where_the_worker_happens_to_look_for_modules_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m` puts the folder that it is started in there: for a service, perhaps the data folder."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert not any(tmp_path.is_relative_to(path) for path in readable_paths())


def test_no_path_is_below_another() -> None:
    shown = readable_paths()
    assert not [(a, b) for a in shown for b in shown if a != b and not b.is_symlink() and a.is_relative_to(b)]
