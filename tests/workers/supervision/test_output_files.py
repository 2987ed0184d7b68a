"""A job's process is not trusted with names: only plain files of its own output folder are published."""

import os
from pathlib import Path

import pytest

from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.output_files import opened_output


def test_a_plain_file_is_published(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with opened_output(tmp_path, "model.onnx") as descriptor:
        assert os.read(descriptor, 10) == b"x"


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "folder", "link", "twin", "pipe", "missing", "", ".", "a\0b"]
)
def test_anything_else_is_not(tmp_path: Path, name: str) -> None:
    outputs = tmp_path / "outputs"
    (outputs / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("ours")
    (outputs / "link").symlink_to(tmp_path / "secret")
    (outputs / "twin").hardlink_to(tmp_path / "secret")
    os.mkfifo(outputs / "pipe")
    with pytest.raises(OutputUnusable), opened_output(outputs, name):
        pass


def test_a_linked_output_folder_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "admin.key").write_text("secret")
    (tmp_path / "outputs").symlink_to(tmp_path / "ours")
    with pytest.raises(OutputUnusable), opened_output(tmp_path / "outputs", "admin.key"):
        pass
