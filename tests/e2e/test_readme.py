"""The README's lines for curl, as a person pastes them into a shell."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.e2e import tiny
from tests.servers.service import Service

README = Path(__file__).parents[2] / "README.md"


def pasted(service: Service, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a folder with a model and data. One wait is shorter than anything takes, as if the queue were long."""
    found = re.search(r"```bash\n(url=.+?)```", README.read_text(), re.DOTALL)
    assert found
    (folder / "admin.key").write_text(service.key)
    lines = found[1].replace("http://127.0.0.1:8000", service.url)
    lines = lines.replace("~/.local/share/lowbit/admin.key", str(folder / "admin.key"))
    lines = lines.replace("wait=60", "wait=1")
    return subprocess.run(["bash", "-c", lines], cwd=folder, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(tiny.model_bytes())
    (tmp_path / "calibration.npz").write_bytes(tiny.calibration_bytes())
    return tmp_path


def test_they_go_from_upload_to_download_however_often_they_have_to_wait(service: Service, folder: Path) -> None:
    done = pasted(service, folder)
    assert done.returncode == 0, done.stderr
    delivered = onnx.load(folder / "model_int8.onnx")
    assert "QuantizeLinear" in {node.op_type for node in delivered.graph.node}


def broken_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(tiny.model_bytes()[:-100])


def a_model_with_nothing_to_quantize(folder: Path) -> None:
    """Which only the job finds out."""
    nodes = [
        helper.make_node("Relu", ["image"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Tile", ["f", "times"], ["scores"]),
    ]
    edits = [lambda model: model.graph.initializer.append(numpy_helper.from_array(np.array([1, 4]), "times"))]
    (folder / "model.onnx").write_bytes(tiny.model_bytes(nodes=nodes, edits=edits))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (broken_model, "onnx_parse_error"),
        (a_model_with_nothing_to_quantize, "nothing_to_quantize"),
    ],
)
def test_they_end_at_once_with_the_problem_where_something_goes_wrong(
    service: Service, folder: Path, spoil: Callable[[Path], None], code: str
) -> None:
    spoil(folder)
    done = pasted(service, folder)
    assert done.returncode != 0
    assert f"'code': '{code}'" in done.stderr
    assert not (folder / "model_int8.onnx").exists()
