"""ONNX Runtime on the CPU: builds QDQ models for its integer kernels, and runs models in it."""

import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import NameFixPass

from app.contracts.recipe import Recipe
from app.contracts.result import LayerReport
from workers.quantization.affine import choose_qparams
from workers.quantization.channel_skew import SKEWED, channel_skew
from workers.quantization.executor.protocol import RuntimeRefused
from workers.quantization.executor.runtime_errors import refusal
from workers.quantization.model_file import fits_one_file, from_message, save_model, self_contained
from workers.quantization.opset import OpsetNotConvertible, raise_opset
from workers.quantization.passes.correct_bias import correct_bias
from workers.quantization.passes.equalize import equalize
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.fold_bias_add import fold_bias_add
from workers.quantization.passes.fold_reshape_targets import fold_reshape_targets
from workers.quantization.passes.fuse_gelu import GELU_OPSET, fuse_gelu
from workers.quantization.passes.fuse_integer_matmul import fuse_integer_matmul
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.passes.plain_pools import plain_pools
from workers.quantization.placement import Placement, place
from workers.quantization.ranges import Range
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.quantization.scheme import UINT8_ACTIVATIONS, weight_scheme

__all__ = [
    "NAME",
    "STAMP_PREFIX",
    "Prepared",
    "RuntimeRefused",
    "Session",
    "build",
    "loaded",
    "placed",
    "prepare",
    "quiet_logs",
    "restamped",
    "runtime_form",
    "runtime_version",
    "serialized",
    "stamped",
]

NAME = "onnxruntime-cpu"

STAMP_PREFIX = "lowbit."

Arrays = Mapping[str, npt.NDArray[np.generic]]

_LARGEST_MESSAGE = 1 << 30
"""Bytes of weights: while a message is passed on, there are two copies of it."""

_FATAL_ONLY = 4  # ONNX Runtime's severity; its warnings name files and go to stderr unasked


@dataclass(frozen=True)
class Prepared:
    """The float model as this target quantizes it, and where it will put integers."""

    model: ir.Model
    placement: Placement

    @property
    def layers(self) -> tuple[LayerReport, ...]:
        return tuple(
            LayerReport(node=d.node, op_type=d.op_type, quantized=d.quantized, reason=d.reason)
            for d in self.placement.decisions
        )


class Session:
    """A model loaded for inference: from memory, or from a file, beside which external data is then found."""

    def __init__(self, model: bytes | Path, *, threads: int, optimized: bool = True) -> None:
        try:
            self._session = ort.InferenceSession(
                model, _options(threads, optimized=optimized), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise _refusal(error, model) from error
        self.inputs = tuple(i.name for i in self._session.get_inputs())
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[np.generic]]:
        """The named outputs, or all. `feeds` may hold more than the model's inputs."""
        names = list(self.outputs if outputs is None else outputs)
        if not names:  # which ONNX Runtime would take for "all"
            return {}
        given = {name: feeds[name] for name in self.inputs}
        try:
            results = self._session.run(names, given)
        except Exception as error:
            raise refusal(error) from error
        return dict(zip(names, results, strict=True))

    def timed(self, feeds: Arrays) -> Callable[[], float]:
        """A function that runs once and returns the milliseconds it took."""
        given = {name: feeds[name] for name in self.inputs}

        def run_once() -> float:
            started = time.perf_counter()
            self._session.run(None, given)
            return (time.perf_counter() - started) * 1000.0

        return run_once


def prepare(model: onnx.ModelProto, recipe: Recipe, *, folder: Path | None = None) -> Prepared:
    """Bring a float model into the form that quantizes well and decide what will become integers.

    The outputs stay what they were, to rounding. folder: of its external data, which stays there; None: it has none.
    Raises OpsetNotConvertible, NodeNotInModel.
    """
    graph_model = lift_constants(from_message(_in_suitable_opset(model), folder))
    fold_reshape_targets(graph_model)
    if graph_model.opset_imports[""] >= GELU_OPSET:
        fuse_gelu(graph_model)
    fold_batch_norm(graph_model)
    fold_bias_add(graph_model)
    plain_pools(graph_model)
    if recipe.equalize != "off":
        graph_model = _equalized(graph_model, only_if_skewed=recipe.equalize == "auto")
    return placed(graph_model, recipe)


def _equalized(graph_model: ir.Model, *, only_if_skewed: bool) -> ir.Model:
    """Equalization costs a decibel where channels are even already and weights have a scale for each: it then evens out
    weights at the expense of activations."""
    evened = graph_model.clone()
    touched = equalize(evened)
    skew = channel_skew(graph_model, evened, touched)
    return evened if touched and (not only_if_skewed or skew >= SKEWED) else graph_model


def placed(graph_model: ir.Model, recipe: Recipe) -> Prepared:
    """Decide anew for a graph that a pass has changed."""
    placement = place(
        graph_model, op_types_to_exclude=recipe.op_types_to_exclude, nodes_to_exclude=recipe.nodes_to_exclude
    )
    return Prepared(graph_model, placement)


def _in_suitable_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Opset 13 for scales along an axis; 20 for Gelu where the model may spell it out, if it converts that far."""
    if any(node.op_type == "Erf" for node in model.graph.node):
        try:
            return raise_opset(model, GELU_OPSET)
        except OpsetNotConvertible:
            pass  # only speed is lost, and the benchmark shows it
    return raise_opset(model)


def build(
    prepared: Prepared,
    ranges: Mapping[str, Range],
    recipe: Recipe,
    *,
    rounded: Mapping[str, RoundedWeight],
    mean_errors: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> ir.Model:
    """The quantized model, as standard QDQ operators that any ONNX runtime reads.

    ranges: by tensor. rounded: by operator. mean_errors: by operator, what to take out of the biases.
    """
    qparams = {name: choose_qparams(*ranges[name], UINT8_ACTIVATIONS) for name in prepared.placement.observed}
    candidate = prepared.model.clone()
    nodes = {node.name: node for node in candidate.graph}
    for name, error in (mean_errors or {}).items():
        correct_bias(candidate.graph, nodes[name], error)
    weights = weight_scheme(reduce_range=False, per_channel=recipe.per_channel)
    insert_qdq(candidate, _with_new_biases(prepared.placement, mean_errors or {}), qparams, weights, rounded=rounded)
    NameFixPass()(candidate)  # should the model use one of our names already
    return candidate


def _with_new_biases(placement: Placement, corrected: Collection[str]) -> Placement:
    """A correction gives a bias to a Conv or Gemm that had none, and QGemm takes biases of 32-bit integers only."""
    sites = tuple(
        replace(site, bias_input=2) if site.node in corrected and site.op_type in {"Conv", "Gemm"} else site
        for site in placement.weights
    )
    return replace(placement, weights=sites)


def runtime_form(portable: ir.Model) -> ir.Model | None:
    """The same integers in the operators that ONNX Runtime runs fastest; None where nothing is gained."""
    fused = portable.clone()
    return fused if fuse_integer_matmul(fused) else None


def stamped(model: ir.Model, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The model as a file's content, with what it says about itself."""
    return restamped(self_contained(model), metadata)


def restamped(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The same file with other words about itself: what an earlier job of ours said of it goes."""
    foreign = {p.key: p.value for p in model.metadata_props if not p.key.startswith(STAMP_PREFIX)}
    model.producer_name = "lowbit"
    del model.metadata_props[:]
    for key, value in {**foreign, **metadata}.items():
        model.metadata_props.add(key=key, value=value)
    return model


def serialized(model: ir.Model) -> bytes:
    return bytes(self_contained(model).SerializeToString())


def loaded(model: ir.Model, *, threads: int) -> Session:
    """A session of a model in memory. What is too large for one message goes through files."""
    if fits_one_file(model, largest_file_bytes=_LARGEST_MESSAGE):
        return Session(serialized(model), threads=threads)
    with tempfile.TemporaryDirectory() as folder:  # what the session needs of it is mapped once it is loaded
        path = Path(folder, "model.onnx")
        save_model(model, path, largest_file_bytes=_LARGEST_MESSAGE)
        return Session(path, threads=threads)


def quiet_logs() -> None:
    """ONNX Runtime logs to stderr by itself; what matters arrives as an exception."""
    ort.set_default_logger_severity(_FATAL_ONLY)


def runtime_version() -> str:
    return str(ort.__version__)


def _refusal(error: Exception, model: bytes | Path) -> MemoryError | RuntimeRefused:
    """Without the folder, which is nobody's business."""
    if isinstance(model, Path):
        error = RuntimeError(str(error).replace(f"{model.parent}{os.sep}", ""))
    return refusal(error)


def _options(threads: int, *, optimized: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # several sessions take turns in one process: a pool that spins while it waits would slow the others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # nor are weights packed for kernels, which would read all of them and keep copies
        options.add_session_config_entry("session.disable_prepacking", "1")
    return options
