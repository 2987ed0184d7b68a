"""ONNX Runtime as an executor: the fastest on a CPU, and it knows every standard operator."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime as ort

from workers.quantization.executor.protocol import Array, ValueNotInGraph, checked_feeds
from workers.quantization.executor.runtime_errors import refusal

LARGEST_MESSAGE = 1 << 30
"""Bytes of weights. A protobuf message ends at 2 GiB, and while it is passed on there are two copies of it."""

_FATAL_ONLY = 4  # ONNX Runtime's severity; its warnings name files and go to stderr unasked


class OnnxRuntimeExecutor:
    """Keeps one session, for the outputs that were asked for last: a session holds all weights, and fuses what nobody
    asks for. So ask for the same outputs in every run.
    """

    def __init__(
        self, model: ir.Model, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        """No threads: as many as the machine has cores. Raises RuntimeRefused if the model cannot be loaded."""
        self._model = model
        self._threads, self._providers = threads, list(providers)
        self.name = f"onnxruntime-{'cuda' if 'CUDAExecutionProvider' in providers else 'cpu'}"
        self.inputs = tuple(v.name or "" for v in model.graph.inputs if v.name not in model.graph.initializers)
        self.outputs = tuple(v.name or "" for v in model.graph.outputs)
        self._loaded = self.outputs
        self._session = _load(model, threads, self._providers)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        names = tuple(outputs) if outputs is not None else self.outputs
        given = checked_feeds(feeds, self.inputs)
        values = {**self._constants(names), **given}
        computed = tuple(name for name in names if name not in values)
        if computed:
            values.update(zip(computed, self._computed(computed, given), strict=True))
        return {name: values[name] for name in names}

    def _computed(self, names: tuple[str, ...], feeds: Mapping[str, Array]) -> list[Array]:
        if names != self._loaded:
            self._session = _load(_with_outputs(self._model, names), self._threads, self._providers)
            self._loaded = names
        try:
            results: list[Array] = self._session.run(list(names), dict(feeds))
        except Exception as error:
            raise refusal(error) from error
        return results

    def _constants(self, names: Sequence[str]) -> dict[str, Array]:
        known = self._model.graph.initializers
        return {
            n: v.const_value.numpy() for n in names if (v := known.get(n)) is not None and v.const_value is not None
        }


def _with_outputs(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """A copy, sharing the weights, whose outputs are the values of these names. Raises ValueNotInGraph."""
    copy = model.clone()
    values = {v.name: v for node in copy.graph for v in node.outputs if v.name}
    unknown = tuple(name for name in names if name not in values)
    if unknown:
        raise ValueNotInGraph(unknown)
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in names)
    return copy


def _load(model: ir.Model, threads: int, providers: list[str]) -> ort.InferenceSession:
    with tempfile.TemporaryDirectory() as folder:  # what the session needs of it is mapped once it is loaded
        source = _source(model, Path(folder))
        try:
            return ort.InferenceSession(source, _options(threads), providers=providers)
        except Exception as error:
            raise refusal(error) from error


def _source(model: ir.Model, folder: Path) -> str | bytes:
    """The model as a message, or as a file if its weights are too large for one or lie in files themselves."""
    tensors = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    if sum(t.nbytes for t in tensors) < LARGEST_MESSAGE and not any(isinstance(t, ir.ExternalTensor) for t in tensors):
        data: bytes = ir.to_proto(model).SerializeToString()
        return data
    path = folder / "model.onnx"
    ir.save(model, path, external_data="weights")
    return str(path)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # a pool that spins while it waits takes the cores from torch in the same process: up to five times slower
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
