"""Files that the runtime's own fusions spoil, and the operator that is left in float for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from app.contracts.result import LayerReport
from tests.workers.pipeline.soundness.test_preparation import first_batch
from workers.pipeline.delivery.candidates import Candidate
from workers.pipeline.delivery.soundness import LEFT_IN_FLOAT, CandidateProof
from workers.protocol.reporter import Reporter

n = helper.make_node
LAYERS = ("a", "b", "c", "d")
RNG = np.random.default_rng(0)
WEIGHTS = {name: (RNG.normal(size=(8, 8)) * 0.3).astype(np.float32) for name in LAYERS}
BIASES = {name: np.append(1.5, RNG.normal(size=7)).astype(np.float32) for name in LAYERS}
X = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)

SPOILED = 1e-12
"""Scale of a column whose weights are all zero. ONNX Runtime, which makes a bias of 32 bits of what is added, takes it
times the input's for its step: no bias of a common size fits."""


def written(
    path: Path, *, integers: set[str], spoiled: set[str], output: str = "y", kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """Four layers of 8 columns, of which the first is zero. Those named compute with integers.

    Whether ONNX Runtime takes the last one's bias into the integers depends on its version: it is never spoiled.
    """
    nodes, stored, value = [], {}, "x"
    for layer in LAYERS:
        weight = WEIGHTS[layer].copy()
        weight[:, 0] = 0.0
        stored |= {f"{layer}_b": BIASES[layer], f"{layer}_w": weight}
        given, read = value, f"{layer}_w"
        if layer in integers:
            scale = np.full(8, np.abs(weight).max() / 127, np.float32)
            scale[0] = SPOILED if layer in spoiled else scale[1]
            stored |= {
                f"{layer}_w": np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), f"{layer}_ws": scale,
                f"{layer}_wz": np.zeros(8, np.int8), f"{layer}_s": np.float32(16 / 255), f"{layer}_z": np.uint8(128),
            }  # fmt: skip
            nodes += [
                n("QuantizeLinear", [value, f"{layer}_s", f"{layer}_z"], [f"{layer}_q"]),
                n("DequantizeLinear", [f"{layer}_q", f"{layer}_s", f"{layer}_z"], [f"{layer}_d"]),
                n("DequantizeLinear", [f"{layer}_w", f"{layer}_ws", f"{layer}_wz"], [f"{layer}_r"], axis=1),
            ]
            given, read = f"{layer}_d", f"{layer}_r"
        nodes += [
            n("MatMul", [given, read], [f"{layer}_p"], name=layer),
            n("Add", [f"{layer}_p", f"{layer}_b"], [f"{layer}_y"]),
        ]
        value = f"{layer}_y"
    nodes.append(n("Cast", [value], [output], to=kind))
    graph = helper.make_graph(
        nodes, "layers", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info(output, kind, ["n", 8])],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return model


@pytest.fixture
def proof(tmp_path: Path, npz: Any, reporter: Reporter) -> CandidateProof:
    original = written(tmp_path / "float.onnx", integers=set(), spoiled=set())
    first = first_batch(tmp_path, original, {"x": X}, npz, reporter)
    return CandidateProof(first, first.target.open(tmp_path / "float.onnx", threads=1).interface, reporter)


def maker(folder: Path, *, spoiled: set[str], **how: Any) -> Callable[[frozenset[str]], tuple[Candidate, ...]]:
    def make(left_out: frozenset[str]) -> tuple[Candidate, ...]:
        integers = set(LAYERS) - left_out
        path = folder / "candidate.onnx"
        written(path, integers=integers, spoiled=spoiled & integers, **how)
        layers = tuple(
            LayerReport(node=layer, op_type="MatMul", quantized=layer in integers, reason="As asked.")
            for layer in LAYERS
        )
        return (Candidate("c", "candidate", "min_max", "int8", None, path, layers),)

    return make


def test_a_file_that_is_served_as_it_is_written_passes_as_it_is(tmp_path: Path, proof: CandidateProof) -> None:
    (candidate,) = proof.sound(maker(tmp_path, spoiled=set()))
    assert all(layer.quantized for layer in candidate.layers)
    assert not proof.reporter.warnings


@pytest.mark.parametrize("spoiled", [{"a"}, {"b"}, {"c"}, {"a", "c"}])
def test_an_operator_that_a_fusion_spoils_is_found_and_left_in_float(
    tmp_path: Path, proof: CandidateProof, spoiled: set[str]
) -> None:
    (candidate,) = proof.sound(maker(tmp_path, spoiled=spoiled))
    kept = {layer.node for layer in candidate.layers if not layer.quantized}
    assert kept == spoiled
    assert {layer.reason for layer in candidate.layers if not layer.quantized} == {LEFT_IN_FLOAT}
    assert {notice.code for notice in proof.reporter.warnings} == {"operator_left_in_float"}
    served = proof.first.target.open(candidate.path, threads=1).run({"x": X})["y"]
    expected = proof.first.target.open(tmp_path / "float.onnx", threads=1).run({"x": X})["y"]
    assert np.square(served - expected).sum() < 1e-2 * np.square(expected).sum()


def test_a_fault_that_no_operator_explains_is_told_and_the_file_stays_what_it_was(
    tmp_path: Path, proof: CandidateProof
) -> None:
    spoiled = maker(tmp_path, spoiled={"a"})

    def make(left_out: frozenset[str]) -> tuple[Candidate, ...]:
        """Whatever is asked for: a is in integers, and spoiled, since b behind it is in integers too."""
        return spoiled(left_out - {"a", "b"})

    (candidate,) = proof.sound(make)
    assert [notice.code for notice in proof.reporter.warnings] == ["optimizations_change_answers"]
    assert all(layer.quantized for layer in candidate.layers)
    integers = {t.name for t in onnx.load(candidate.path).graph.initializer if t.data_type == TensorProto.INT8}
    assert {f"{layer}_w" for layer in LAYERS} <= integers


@pytest.mark.parametrize("how", [{"output": "z"}, {"kind": TensorProto.FLOAT16}])
def test_an_output_of_another_name_or_type_is_never_delivered(tmp_path: Path, proof: CandidateProof, how: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        proof.sound(maker(tmp_path, spoiled=set(), **how))
    assert found.value.problem.code == "candidate_unsound"
    assert "Inputs and outputs are not those of the model" in found.value.problem.detail


def test_a_file_that_cannot_be_run_whatever_is_left_out_is_a_problem(tmp_path: Path, proof: CandidateProof) -> None:
    healthy = maker(tmp_path, spoiled=set())

    def make(left_out: frozenset[str]) -> tuple[Candidate, ...]:
        (candidate,) = healthy(left_out)
        model = onnx.load(candidate.path)
        model.graph.node[0].op_type = "NoSuchOperator"
        candidate.path.write_bytes(model.SerializeToString())
        return (candidate,)

    with pytest.raises(ProblemFound) as found:
        proof.sound(make)
    assert found.value.problem.code == "candidate_unsound"
    assert str(tmp_path) not in found.value.problem.detail
