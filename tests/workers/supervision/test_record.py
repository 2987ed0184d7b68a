"""A job's process is not trusted with names: only plain files of its own output folder are published.

What it found is stored as it came.
"""

import os
from pathlib import Path

import pytest

from app.contracts.result import LayerReport, Metrics, VariantOutcome
from app.tables import Job
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.record import _opened, _variant


def test_a_plain_file_is_published(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with _opened(tmp_path, "model.onnx") as descriptor:
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
    with pytest.raises(OutputUnusable), _opened(outputs, name):
        pass


def test_a_linked_output_folder_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "admin.key").write_text("secret")
    (tmp_path / "outputs").symlink_to(tmp_path / "ours")
    with pytest.raises(OutputUnusable), _opened(tmp_path / "outputs", "admin.key"):
        pass


def test_a_variant_keeps_its_own_layers_in_their_order() -> None:
    layers = tuple(LayerReport(node=n, op_type="Conv", quantized=n == "b", reason="why") for n in ("b", "a"))
    metrics = Metrics(size_bytes=1)
    found = VariantOutcome(key="k", role="candidate", label="l", metrics=metrics, admissible=True, layers=layers)
    row = _variant(Job(id="job_1", tenant_id="tnt_1"), found, best=True)
    assert row.layers == [
        {"node": "b", "op_type": "Conv", "quantized": True, "reason": "why", "figures": None},
        {"node": "a", "op_type": "Conv", "quantized": False, "reason": "why", "figures": None},
    ]
