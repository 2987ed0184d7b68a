"""A pass that changes the answers is found by name and left out; rounding and chance are not blamed on any."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from app.contracts.problem import ProblemFound
from tests.workers.quantization.small_models import model_of, residual_cnn
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.soundness.first_batch import FirstBatch
from workers.pipeline.soundness.preparation import passes_to_leave_out
from workers.protocol.reporter import Reporter
from workers.quantization.placement.plan import Exclusions
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu
from workers.targets.preparation import PASSES, prepared_graph

n = helper.make_node
NONE = Exclusions.named((), ())
W = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)


def first_batch(folder: Path, model: onnx.ModelProto, data: Any, npz: Any, reporter: Reporter) -> FirstBatch:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    target = OnnxRuntimeCpu()
    feeder = feeder_for(describe(model), open_archive(npz(**data)), reporter)
    return FirstBatch.of(target.open(path, threads=1), feeder, path, target, reporter, threads=1)


def chain(*, scale: float = 1.0, renamed: bool = False, dropped: bool = False) -> onnx.ModelProto:
    """Y = relu(x w) scale, z = argmax of it."""
    nodes = [
        n("MatMul", ["x", "w"], ["p"], name="product"),
        n("Relu", ["p"], ["r"]),
        n("Mul", ["r", "s"], ["other" if renamed else "y"]),
    ]
    outputs = {"other" if renamed else "y": ["n", 6]}
    if not dropped:
        outputs["p"] = ["n", 6]
    return model_of(nodes, {"w": W, "s": np.asarray(np.float32(scale))}, inputs={"x": ["n", 6]}, outputs=outputs)


SPOILED = {"scaled": {"scale": 1.001}, "renamed": {"renamed": True}, "dropped": {"dropped": True}}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("culprit", ["one", "two", "three"])
def test_the_pass_that_changes_answers_is_left_out_and_named(
    tmp_path: Path, npz: Any, reporter: Reporter, how: str, culprit: str
) -> None:
    first = first_batch(tmp_path, chain(), {"x": X}, npz, reporter)

    def prepare(without: frozenset[str]) -> ir.Model:
        return ir.from_proto(chain() if culprit in without else chain(**SPOILED[how]))

    assert passes_to_leave_out(prepare, ["one", "two", "three"], first, reporter) == {culprit}
    (notice,) = reporter.warnings
    assert notice.code == "pass_left_out"
    assert f"The pass {culprit} was left out" in notice.detail


def test_two_passes_that_change_answers_are_both_left_out(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    first = first_batch(tmp_path, chain(), {"x": X}, npz, reporter)

    def prepare(without: frozenset[str]) -> ir.Model:
        scale = 1.0 + 0.01 * ("two" not in without) + 0.1 * ("three" not in without)
        return ir.from_proto(chain(scale=scale))

    assert passes_to_leave_out(prepare, ["one", "two", "three"], first, reporter) == {"two", "three"}


def test_a_change_that_no_pass_explains_stops_the_job(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    first = first_batch(tmp_path, chain(), {"x": X}, npz, reporter)
    with pytest.raises(ProblemFound) as found:
        passes_to_leave_out(lambda _: ir.from_proto(chain(scale=2.0)), ["one"], first, reporter)
    assert found.value.problem.code == "candidate_unsound"
    assert "output y differs by" in found.value.problem.detail


def test_real_passes_are_all_kept_where_they_only_round(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    model = residual_cnn()
    x = np.random.default_rng(2).normal(size=(8, 3, 8, 8)).astype(np.float32)
    first = first_batch(tmp_path, model, {"x": x}, npz, reporter)

    def prepare(without: frozenset[str]) -> ir.Model:
        return prepared_graph(model, None, equalization="on", exclusions=NONE, without=without)

    assert passes_to_leave_out(prepare, PASSES, first, reporter) == frozenset()
    assert not reporter.warnings


def test_a_model_that_draws_at_random_is_told_and_not_held_to_its_answers(
    tmp_path: Path, npz: Any, reporter: Reporter
) -> None:
    nodes = [n("RandomNormalLike", ["x"], ["noise"]), n("Add", ["x", "noise"], ["y"])]
    model = model_of(nodes, {}, inputs={"x": ["n", 6]}, outputs={"y": ["n", 6]})
    first = first_batch(tmp_path, model, {"x": X}, npz, reporter)
    assert not first.is_deterministic
    assert [notice.code for notice in reporter.warnings] == ["not_deterministic"]
    assert passes_to_leave_out(lambda _: ir.from_proto(model), ["one"], first, reporter) == frozenset()


def test_what_the_runtimes_own_optimizations_change_is_allowed_to_a_pass(
    tmp_path: Path, npz: Any, reporter: Reporter
) -> None:
    # differences of large, nearly equal numbers: their last digits depend on the order of additions
    nodes = [
        n("Conv", ["x", "w", "b"], ["c"], name="conv"),
        n("BatchNormalization", ["c", "g", "z", "m", "v"], ["y"], name="norm"),
    ]
    rng = np.random.default_rng(3)
    stored = {
        "w": rng.normal(size=(4, 6, 1)), "b": np.full(4, 1e4), "g": np.ones(4), "z": np.zeros(4), "m": np.full(4, 1e4),
        "v": np.full(4, 1e-2),
    }  # fmt: skip
    stored = {name: array.astype(np.float32) for name, array in stored.items()}
    model = model_of(nodes, stored, inputs={"x": ["n", 6, 5]}, outputs={"y": ["n", 4, 5]})
    data = {"x": rng.normal(size=(8, 6, 5)).astype(np.float32)}
    first = first_batch(tmp_path, model, data, npz, reporter)

    def prepare(without: frozenset[str]) -> ir.Model:
        return prepared_graph(model, None, equalization="off", exclusions=NONE, without=without)

    assert passes_to_leave_out(prepare, PASSES, first, reporter) == frozenset()
