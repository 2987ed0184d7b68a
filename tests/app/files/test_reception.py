"""Staging files: refused early when they cannot serve, and gone whatever happens."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from app.contracts.problem import ProblemFound
from app.files.reception import Reception
from app.files.sniff import HEAD_BYTES

PICKLE = b"\x80\x04" + bytes(HEAD_BYTES)


def test_a_wrong_format_is_refused_with_its_first_bytes(tmp_path: Path) -> None:
    with Reception(tmp_path, max_bytes=10**6) as received:
        received.expect("model")
        received.write(PICKLE[:10])
        with pytest.raises(ProblemFound) as found:
            received.write(PICKLE[10:])
    assert found.value.problem.code == "model_format_not_supported"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_program_is_refused_with_its_first_bytes_unless_they_are_allowed(tmp_path: Path, allowed: bool) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("program/archive_format", bytes(HEAD_BYTES))
    with Reception(tmp_path, max_bytes=10**6, allow_torch_export=allowed) as received:
        received.write(buffer.getvalue())
        if allowed:
            received.expect("model")
            assert received.format_for("model") == "torch_export"
        else:
            with pytest.raises(ProblemFound) as found:
                received.expect("model")
            assert found.value.problem.code == "pt2_not_allowed"


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


def test_a_file_on_its_way_has_no_name_that_a_killed_process_could_leave(tmp_path: Path) -> None:
    with Reception(tmp_path / "uploads", max_bytes=100) as received:
        received.write(b"some ")
        received.write(b"bytes")
        assert received.finish() == hashlib.sha256(b"some bytes").hexdigest()
        assert list((tmp_path / "uploads").iterdir()) == []
        assert received.path.read_bytes() == b"some bytes"
