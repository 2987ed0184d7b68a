"""A job's process is not trusted with names: only plain files of its own output folder are published."""

from pathlib import Path

import pytest

from workers.supervision.record import OutputNotPlain, _plain


def test_a_plain_file_is_published(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert _plain(tmp_path, "model.onnx") == tmp_path / "model.onnx"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "folder", "link", "missing", "", "."])
def test_anything_else_is_not(tmp_path: Path, name: str) -> None:
    outputs = tmp_path / "outputs"
    (outputs / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("ours")
    (outputs / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OutputNotPlain):
        _plain(outputs, name)
