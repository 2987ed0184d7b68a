import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.pipeline.steps import step_file
from workers.pipeline.steps.step_file import StepContent, StepNotWritten, StepUnusable, read_step, write_step

CONTENT = StepContent(
    {"text": "Ä\0\ud800", "number": 0.1, "list": [1, None]},
    {
        "a": np.arange(6.0).reshape(2, 3)[:, ::-1],
        "b.c": np.zeros((0, 4), np.int64),
        "d": np.array([65535], np.uint16),
    },
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "step.safetensors"


def test_what_is_read_is_what_was_written(path: Path) -> None:
    write_step(path, CONTENT)
    found = read_step(path)
    assert found.facts == CONTENT.facts
    assert found.arrays.keys() == CONTENT.arrays.keys()
    for name, array in CONTENT.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_same_content_is_the_same_file(path: Path) -> None:
    write_step(path, CONTENT)
    first = path.read_bytes()
    write_step(path, StepContent(CONTENT.facts, dict(reversed(CONTENT.arrays.items()))))
    assert path.read_bytes() == first


def forged(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        forged({}),
        forged({"__metadata__": {"facts": "{"}}),
        forged({"__metadata__": {"facts": "[" * 100_000}}),
        forged({"__metadata__": {"facts": "{}"}, "a": {"dtype": "F64", "shape": [1 << 40], "data_offsets": [0, 8]}}),
        forged(
            {"__metadata__": {"facts": "{}"}, "a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"12"
        ),
    ],
)
def test_what_is_damaged_or_forged_is_unusable(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StepUnusable):
        read_step(path)


def test_a_file_that_was_cut_off_is_unusable(path: Path) -> None:
    write_step(path, CONTENT)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(StepUnusable):
            read_step(path)


def test_what_is_no_file_is_unusable(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StepUnusable):
        read_step(path)


def test_too_large_a_result_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_file, "MAX_STEP_BYTES", 49)  # 6 * 8 + 0 + 2
    with pytest.raises(StepNotWritten, match="50 bytes"):
        write_step(path, CONTENT)
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(StepNotWritten):
        write_step(path, CONTENT)
    assert list(path.parent.iterdir()) == [path]
