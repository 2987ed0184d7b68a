"""What a job made of a model, held against it by ONNX Runtime alone and by a simulation that knows no placement."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from tests.workers.generated.builder import Generated
from tests.workers.pipeline.jobs import done
from workers.protocol.outcome import Finished, Quantized

POSSIBLE_DB = 26.0
"""Where a plain simulation reaches it, a delivered file keeps KEPT_DB."""
KEPT_DB = 20.0

ALLOWED = frozenset({"nothing_to_quantize", "calibration_nonfinite", "answers_not_finite"})
"""Codes of sound models that a preset may refuse with."""

NETS = frozenset({"pass_left_out", "operator_left_in_float", "optimizations_change_answers"})
"""Warnings of a fault that was caught: none of it reaches a user, but it is ours or the runtime's to mend."""

Answers = dict[str, Any]


@dataclass(frozen=True)
class Held:
    fault: str | None
    caught: tuple[str, ...] = ()
    refused: str | None = None
    db: float | None = None


def held(generated: Generated, preset: str, folder: Path, *, simulated_db: float) -> Held:
    outcome = done(folder, generated.model, generated.data, preset=preset)
    if not isinstance(outcome, Finished):
        found = outcome.problem
        fault = None if found.code in ALLOWED else f"{found.code}: {found.detail}"
        return Held(fault, refused=found.code)
    assert isinstance(outcome.ok, Quantized)
    told = outcome.ok.outcome
    caught = tuple(f"{w.code}: {w.detail}" for w in told.warnings if w.code in NETS)
    expected = answers(generated.model.SerializeToString(), generated.data)
    least = float("inf")
    for file in told.files:
        if file.kind != "model" or file.variant_key != told.best:
            continue
        path = folder / "outputs" / file.path
        least = min(least, *decibels(expected, answers(str(path), generated.data)))
        if interface(str(path)) != interface(generated.model.SerializeToString()):
            return Held(f"another interface: {file.path}", caught)
    poor = simulated_db >= POSSIBLE_DB and least < KEPT_DB
    return Held(f"{least:.1f} dB, simulated {simulated_db:.1f}" if poor else None, caught, db=least)


def simulated(generated: Generated) -> float:
    """The worst output of the model with 8-bit inputs and weights of every product, in float arithmetic: dB.

    min-max ranges of the same data; weights symmetric, one scale for each output channel.
    """
    model = _inlined(generated.model)
    produced = {n.output[0]: n for n in model.graph.node}
    read = {n.input[0] for n in model.graph.node if _multiplies(n)}
    ranges = _observed(model, generated.data, read)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if _multiplies(node) and node.input[1] not in produced:
            name = node.input[0]
            scale = max(max(ranges[name][1], 0.0) - min(ranges[name][0], 0.0), 1e-9) / 255.0
            nodes += _rounded(name, f"{name}__8_{len(nodes)}", scale, model)
            node.input[0] = nodes[-1].output[0]
            _round_weight(model, node)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return min(
        decibels(
            answers(generated.model.SerializeToString(), generated.data),
            answers(model.SerializeToString(), generated.data),
        )
    )


def answers(model: bytes | str, data: Answers) -> Answers:
    session = _session(model)
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, data), strict=True))


def interface(model: bytes | str) -> Any:
    session = _session(model)
    return [(p.name, p.type, len(p.shape)) for p in (*session.get_inputs(), *session.get_outputs())]


def decibels(expected: Answers, actual: Answers) -> list[float]:
    found = []
    for name, array in expected.items():
        noise = np.square(array.astype(np.float64) - actual[name]).sum()
        signal = np.square(array.astype(np.float64)).sum()
        found.append(200.0 if noise == 0.0 else float(10 * np.log10(signal / noise)) if np.isfinite(noise) else -200.0)
    return found


def _session(model: bytes | str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constants that ONNX Runtime folds are folded here too: the simulation looks for weights in initializers only."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        ort.InferenceSession(model.SerializeToString(), options)
        return onnx.load(options.optimized_model_filepath)


def _multiplies(node: onnx.NodeProto) -> bool:
    return node.op_type in {"MatMul", "Gemm", "Conv"}


def _observed(model: onnx.ModelProto, data: Answers, names: set[str]) -> dict[str, tuple[float, float]]:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {o.name for o in watched.graph.output} | {i.name for i in watched.graph.input}
    computed = {name for n in model.graph.node for name in n.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names - given if name in computed)
    found = {**answers(watched.SerializeToString(), data), **data}
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {name: (float(a.min()), float(a.max())) for name in names for a in [found.get(name, constants.get(name))]}


def _rounded(source: str, name: str, scale: float, model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """X -> floor(x / scale + 1/2) * scale: Round came with opset 11."""
    constants = {f"{name}_scale": np.float32(scale), f"{name}_half": np.float32(0.5)}
    model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    steps, shifted, whole = f"{name}_steps", f"{name}_shifted", f"{name}_whole"
    return [
        helper.make_node("Div", [source, f"{name}_scale"], [steps]),
        helper.make_node("Add", [steps, f"{name}_half"], [shifted]),
        helper.make_node("Floor", [shifted], [whole]),
        helper.make_node("Mul", [whole, f"{name}_scale"], [name]),
    ]


def _round_weight(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    stored = next((t for t in model.graph.initializer if t.name == node.input[1]), None)
    if stored is None:
        return
    array = numpy_helper.to_array(stored)
    turned = next((a.i for a in node.attribute if a.name == "transB"), 0)
    axis = 0 if node.op_type == "Conv" or turned else array.ndim - 1
    others = tuple(i for i in range(array.ndim) if i != axis)
    scale = np.maximum(np.abs(array).max(axis=others, keepdims=True), 1e-9) / 127
    name = f"{stored.name}__8_{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array((np.rint(array / scale) * scale).astype(np.float32), name))
    node.input[1] = name
