from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.pipeline.jobs import attention, quantized, sentences
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.finite_weights import refuse_nonfinite

CAUSAL = np.triu(np.full((6, 6), -np.inf), 1)
CHUNK = (4 << 20) // 4
"""Elements of float32 that are read of a file at a time."""


def code_of(values: Any, dtype: Any = np.float32) -> str | None:
    try:
        refuse_nonfinite(numpy_helper.from_array(np.asarray(values, dtype), "w"), FilesBeside())
    except ProblemFound as found:
        return found.problem.code
    return None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_causal_mask_is_taken_in_every_type(dtype: Any) -> None:
    assert code_of(CAUSAL, dtype) is None
    assert code_of(np.full(3, -np.inf), dtype) is None


def test_a_single_constant_may_be_infinite_but_not_nan() -> None:
    assert code_of(np.inf) is None
    assert code_of([[-np.inf]]) is None
    assert code_of(np.nan) == "nonfinite_weights"


@pytest.mark.parametrize("values", [[0, np.inf], [1, -np.inf], [0, -np.inf, np.nan], [np.inf, -np.inf], [2, np.nan]])
def test_infinity_among_numbers_is_damage(values: Any) -> None:
    assert code_of(values) == "nonfinite_weights"


def test_doubles_that_no_float32_holds_are_finite() -> None:
    assert code_of([1e300, -1e300], np.float64) is None


@pytest.mark.parametrize(("last", "taken"), [(0.0, True), (1.0, False)])
def test_a_mask_in_a_file_is_judged_as_a_whole(tmp_path: Path, last: float, taken: bool) -> None:
    """The infinity lies in the first piece that is read, and what makes it damage in the second."""
    values = np.zeros(CHUNK + 1, np.float32)
    values[0], values[-1] = -np.inf, last
    (tmp_path / "w").write_bytes(values.tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[len(values)])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w")
    with FilesBeside(tmp_path) as files:
        if taken:
            refuse_nonfinite(tensor, files)
            return
        with pytest.raises(ProblemFound):
            refuse_nonfinite(tensor, files)


def with_causal_mask(tokens: int) -> onnx.ModelProto:
    """An encoder whose scores get a constant mask of negative infinity too, as text encoders of CLIP have it."""
    model = attention(tokens)
    mask = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
    model.graph.initializer.append(numpy_helper.from_array(mask, "causal"))
    index = next(i for i, node in enumerate(model.graph.node) if node.name == "softmax")
    model.graph.node[index].input[0] = "scores_masked"
    model.graph.node.insert(index, helper.make_node("Add", ["sm", "causal"], ["scores_masked"], name="causal_mask"))
    return model


def test_a_model_with_a_constant_mask_is_quantized_as_well_as_one_without(tmp_path: Path) -> None:
    data = sentences(16, tokens=6)
    decibels = []
    for name, model in {"plain": attention(6), "masked": with_causal_mask(6)}.items():
        folder = tmp_path / name
        folder.mkdir()
        decibels.append(quantized(folder, model, data).variants[1].metrics.sqnr_db)
    assert decibels[1] == pytest.approx(decibels[0], abs=6)
