from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch

from tests.workers.ingestion.program.conftest import Classifier, Entries
from workers.ingestion.program.exporting import export_program
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession


def test_a_program_becomes_an_onnx_model_that_answers_like_it_at_any_batch(
    classifier: Classifier,
    honest: Entries,
    packed: Callable[[Entries], Path],
    tmp_path: Path,
    reporter: Reporter,
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    export_program(packed(honest), output, reporter)
    assert [path.name for path in output.iterdir()] == ["model.onnx"]
    batch = onnx.load(output / "model.onnx").graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param
    session = OnnxRuntimeSession((output / "model.onnx").read_bytes(), threads=1)
    for rows in (1, 7):
        x = torch.randn(rows, 8)
        (given,) = session.run({session.inputs[0]: x.numpy()}).values()
        np.testing.assert_allclose(given, classifier(x).detach().numpy(), atol=1e-6)
