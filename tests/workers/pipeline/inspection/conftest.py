"""Uploads of models, inspected."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from app.contracts.problem import ProblemFound
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask


@pytest.fixture
def inspect(tmp_path: Path, reporter: Reporter) -> Any:
    def run(model: onnx.ModelProto | bytes) -> Any:
        path = tmp_path / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return inspect_model(InspectModelTask(model=path.name), tmp_path, reporter).inspection

    return run


@pytest.fixture
def problem_of(inspect: Any) -> Any:
    def run(model: onnx.ModelProto | bytes) -> Any:
        with pytest.raises(ProblemFound) as found:
            inspect(model)
        assert "/" not in found.value.problem.detail.replace("float16/32/64", ""), "a path may have leaked"
        return found.value.problem

    return run
