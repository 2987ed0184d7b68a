"""Folders that can be compared, and those that cannot."""

from pathlib import Path

import pytest

from benchmarks.fingerprints.checkout import NotInstalled, checked


def installed(folder: Path, *origins: Path) -> Path:
    """A checkout whose interpreter says that its packages are found there."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text("#!/bin/sh\n" + "".join(f"echo '{path}'\n" for path in origins))
    (programs / "python").chmod(0o755)
    (programs / "lowbit").touch()
    return folder


def test_a_checkout_that_runs_its_own_code_is_taken(tmp_path: Path) -> None:
    own = tmp_path / "one checkout"
    installed(own, own / "app" / "__init__.py", own / "client" / "lowbit" / "__init__.py")
    assert checked(own) == own


def test_a_checkout_without_its_environment_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="make install"):
        checked(tmp_path)


def test_an_environment_that_runs_another_checkouts_code_is_refused(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    installed(own, own / "app" / "__init__.py", other / "client" / "lowbit" / "__init__.py")
    with pytest.raises(NotInstalled, match=str(other)):
        checked(own)
