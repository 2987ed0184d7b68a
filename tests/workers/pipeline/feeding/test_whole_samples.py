"""Models whose first axis is time: each sample is fed by itself, as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.pipeline.jobs import done, quantized
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for, one_sample
from workers.protocol.outcome import Refused
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession

n = helper.make_node
STEPS, WIDTH, UNITS, CLASSES = 6, 4, 16, 3


def recurrent(*, every_step: bool = False, steps: int | str = STEPS) -> onnx.ModelProto:
    """[steps, 1, 4] -> a GRU -> its last state, or all of them -> two products -> [1, 3] or [steps, 1, 3]."""
    rng = np.random.default_rng(0)
    shapes = {"W": (1, 3 * UNITS, WIDTH), "R": (1, 3 * UNITS, UNITS), "a": (UNITS, 32), "b": (32, CLASSES)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in shapes.items()]
    axis = 1 if every_step else 0
    weights.append(numpy_helper.from_array(np.array([axis]), "axis"))
    nodes = [
        n("GRU", ["x", "W", "R"], ["all", "last"], name="gru", hidden_size=UNITS),
        n("Squeeze", ["all" if every_step else "last", "axis"], ["h"], name="squeeze"),
        n("MatMul", ["h", "a"], ["p"], name="first"),
        n("Relu", ["p"], ["r"], name="relu"),
        n("MatMul", ["r", "b"], ["y"], name="second"),
    ]
    shape = [steps, 1, CLASSES] if every_step else [1, CLASSES]
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, 1, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def sequences(samples: int = 40) -> Any:
    return np.random.default_rng(1).normal(size=(samples, STEPS, 1, WIDTH)).astype(np.float32)


def answers(model: onnx.ModelProto, x: Any) -> Any:
    session = OnnxRuntimeSession(model.SerializeToString(), threads=1)
    return np.stack([session.run({"x": one})["y"] for one in x])


def test_each_sample_is_fed_as_it_is(npz: Any, reporter: Reporter) -> None:
    x = sequences(5)
    feeder = feeder_for(describe(recurrent()), open_archive(npz(x=x, labels=np.arange(5))), reporter)
    fed = list(feeder.batches(8, limit=4))
    assert [(f.rows, f.feeds["x"].shape) for f in fed] == [(1, (STEPS, 1, WIDTH))] * 4
    np.testing.assert_array_equal(fed[3].feeds["x"], x[3])
    assert [f.labels.tolist() for f in fed if f.labels is not None] == [[0], [1], [2], [3]]
    np.testing.assert_array_equal(feeder.rows_of_exactly(3)["x"], x[0])
    assert reporter.warnings == []


@pytest.mark.parametrize(
    ("answer", "of_one"),
    [((1, 5), (1, 5)), ((5,), (1, 5)), ((20, 1, 5), (1, 20, 5)), ((20, 5), (1, 20, 5)), ((1, 1), (1, 1)), ((), (1,)),
     ((20, 3, 5), (1, 20, 3, 5))],
)  # fmt: skip
def test_an_answer_gets_an_axis_of_samples(answer: Any, of_one: Any) -> None:
    assert one_sample(np.zeros(answer)).shape == of_one


@pytest.mark.parametrize("steps", [STEPS, "time"])
def test_every_sample_is_judged_and_not_every_step(tmp_path: Path, steps: Any) -> None:
    model, x = recurrent(steps=steps), sequences()
    labels = answers(model, x)[:, 0].argmax(axis=-1)  # [samples, 1, classes]
    outcome = quantized(tmp_path, model, {"x": x}, {"x": x, "labels": labels[:, np.newaxis]})
    baseline, candidate = outcome.variants[:2]
    assert (baseline.metrics.samples, baseline.metrics.accuracy) == (40, 1.0)
    assert candidate.metrics.samples == 40
    assert candidate.metrics.sqnr_db > 20


def test_every_step_is_a_prediction_where_the_model_says_one(tmp_path: Path) -> None:
    model, x = recurrent(every_step=True), sequences()
    labels = answers(model, x)[:, :, 0].argmax(axis=-1)  # [samples, steps, 1, classes]
    outcome = quantized(tmp_path, model, {"x": x}, {"x": x, "labels": labels})
    assert outcome.variants[0].metrics.accuracy == 1.0
    assert outcome.variants[1].metrics.samples == 40


@pytest.mark.parametrize("every_step", [False, True])
def test_rows_are_not_taken_for_steps(npz: Any, reporter: Reporter, every_step: bool) -> None:
    flat = sequences().reshape(-1, 1, WIDTH)
    with pytest.raises(ProblemFound) as found:
        feeder_for(describe(recurrent(every_step=every_step)), open_archive(npz(x=flat)), reporter)
    assert found.value.problem.code == "calibration_shape_mismatch"
    assert f"array.reshape(-1, {STEPS}, 1, {WIDTH})" in (found.value.problem.hint or "")


def test_labels_that_no_answer_holds_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    model, x = recurrent(steps="time"), sequences()
    model.graph.output[0].type.tensor_type.ClearField("shape")  # so that only an answer tells
    labels = np.zeros(40, np.int64)
    labels[-1] = CLASSES
    outcome = done(tmp_path, model, {"x": x}, {"x": x, "labels": labels})
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "labels_invalid"
    assert list((tmp_path / "outputs").iterdir()) == []
