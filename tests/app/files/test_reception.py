"""Staging files: refused early when they cannot serve, and gone whatever happens."""

import os
import time
from pathlib import Path

import pytest

from app.contracts.problem import ProblemFound
from app.files.reception import STALE_SECONDS, Reception, sweep
from app.files.sniff import HEAD_BYTES

PICKLE = b"\x80\x04" + bytes(HEAD_BYTES)


def test_a_wrong_format_is_refused_with_its_first_bytes(tmp_path: Path) -> None:
    with Reception(tmp_path, max_bytes=10**6) as received:
        received.expect("model")
        received.write(PICKLE[:10])
        with pytest.raises(ProblemFound) as found:
            received.write(PICKLE[10:])
    assert found.value.problem.code == "model_format_not_supported"


def test_a_purpose_named_after_the_file_is_checked_at_once(tmp_path: Path) -> None:
    with Reception(tmp_path, max_bytes=10**6) as received:
        received.write(PICKLE)
        with pytest.raises(ProblemFound):
            received.expect("dataset")


def test_a_full_disk_found_when_closing_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    received = Reception(tmp_path, max_bytes=100)
    received.__enter__()
    received._file.close()
    received._file = Path("/dev/full").open("wb")  # noqa: SIM115  the reception closes it
    received.write(b"buffered")
    with pytest.raises(ProblemFound) as found:
        received.__exit__(None, None, None)
    assert found.value.problem.code == "insufficient_scratch"
    assert list(tmp_path.iterdir()) == []


def test_only_stale_files_are_swept(tmp_path: Path) -> None:
    stale, fresh = tmp_path / "stale", tmp_path / "fresh"
    for path in (stale, fresh):
        path.touch()
    then = time.time() - STALE_SECONDS - 60
    os.utime(stale, (then, then))
    sweep(tmp_path)
    sweep(tmp_path / "not_there")
    assert list(tmp_path.iterdir()) == [fresh]
