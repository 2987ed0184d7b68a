"""The sandbox of a worker: proven before its first job, refused where it does not hold, and needed for some formats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from tests.workers.supervision.conftest import ENDS_WELL, Perform, error_of
from workers.sandbox.levels import Level, Sandbox
from workers.supervision.process import confinement

START = (sys.executable, "-m", "celery", "-A", "workers.celery_app:celery", "worker", "--queues", "cpu")


def settings(tmp_path: Path, **given: str) -> Settings:
    return Settings.model_validate({"scratch_dir": tmp_path, **given})


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """No level holds on this worker."""
    monkeypatch.setattr(confinement, "_chosen", {"auto": Sandbox(Level.NONE)})


def test_the_best_level_is_proven_once_in_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_chosen", {})
    first = confinement.sandbox_in_use(settings(tmp_path))
    assert first == Sandbox(Level.BUBBLEWRAP)
    assert list((tmp_path / "jobs").iterdir()) == []
    monkeypatch.setattr(confinement, "choose", None)  # it would fail now
    assert confinement.sandbox_in_use(settings(tmp_path)) is first


def test_a_worker_refuses_to_start_with_one_line_where_the_level_it_was_told_does_not_hold(tmp_path: Path) -> None:
    told = {
        **os.environ, "PATH": str(tmp_path), "LOWBIT_SANDBOX": "bubblewrap", "LOWBIT_SCRATCH_DIR": str(tmp_path),
        "LOWBIT_BROKER_URL": "redis://127.0.0.1:1/0",
    }  # fmt: skip
    ran = subprocess.run(START, env=told, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "lowbit: LOWBIT_SANDBOX=bubblewrap does not hold here (bwrap is not installed; as root: "
        "apt-get install bubblewrap, or `make system-deps`). `lowbit doctor` shows what does."
    )


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("file_format", ["archive", "torch_export"])
def test_without_a_sandbox_an_archive_or_a_program_is_refused(perform: Perform, file_format: str) -> None:
    after = perform(ENDS_WELL, file_format=file_format)
    assert (after.status, error_of(after)["code"]) == ("failed", "sandbox_unavailable")
    assert "lowbit doctor" in error_of(after)["hint"]


@pytest.mark.usefixtures("without")
def test_without_a_sandbox_an_onnx_file_is_opened_all_the_same(perform: Perform) -> None:
    assert error_of(perform(ENDS_WELL))["code"] == "onnx_parse_error"  # what the script says


def test_whoever_wants_no_sandbox_may_have_everything_opened(perform: Perform) -> None:
    after = perform(ENDS_WELL, file_format="archive", settings={"sandbox": "off"})
    assert error_of(after)["code"] == "onnx_parse_error"


def test_an_attempt_runs_in_the_sandbox(perform: Perform) -> None:
    """In a namespace of its own the process is one of the first, whatever its number is outside."""
    after = perform(f"assert os.getpid() < 10, os.getpid()\n{ENDS_WELL}")
    assert error_of(after)["code"] == "onnx_parse_error"
