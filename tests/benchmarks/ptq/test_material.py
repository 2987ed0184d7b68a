"""Material is made once, and only what is complete gets its name."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.ptq import material
from tests.real_data import MAGIKA


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders asked for, of a subject `whole`, whose files are all written, and of `half`, which lacks one."""
    asked: list[Path] = []

    def half(folder: Path) -> None:
        asked.append(folder)
        shutil.copyfile(MAGIKA, folder / "model.onnx")
        np.savez(folder / "calibration.npz", bytes=np.zeros((1, 2048), np.int32))

    def whole(folder: Path) -> None:
        half(folder)
        np.savez(folder / "evaluation.npz", bytes=np.zeros((1, 2048), np.int32))

    monkeypatch.setitem(sys.modules, "made_whole", SimpleNamespace(make=whole))
    monkeypatch.setitem(sys.modules, "made_half", SimpleNamespace(make=half))
    monkeypatch.setattr(material, "MODULES", {"whole": "made_whole", "half": "made_half"})
    return asked


def test_what_is_complete_is_left_alone(tmp_path: Path, calls: list[Path]) -> None:
    material.make(tmp_path, ("whole",))
    assert {path.name for path in (tmp_path / "whole").iterdir()} == set(material.FILES)
    material.make(tmp_path, ("whole",))
    assert len(calls) == 1


def test_what_is_not_complete_is_made_again(tmp_path: Path, calls: list[Path]) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"made_half has not written evaluation\.npz"):
            material.make(tmp_path, ("half",))
    assert len(calls) == 2
    assert not (tmp_path / "half").exists()
