"""ONNX Runtime as an executor: the fastest on a CPU, and it knows every standard operator."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime as ort

from workers.quantization.executor.executor import Array, ValueNotInGraph, checked_feeds
from workers.quantization.executor.onnxruntime_session import opened, source_of
from workers.quantization.executor.runtime_errors import refusal


class OnnxRuntimeExecutor:
    """Keeps one session, for the outputs that were asked for last: a session holds all weights, and fuses what nobody
    asks for. So ask for the same outputs in every run.
    """

    def __init__(
        self, model: ir.Model, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        """No threads: as many as the machine has cores. Raises RuntimeRefused if the model cannot be loaded."""
        self._model = model
        self._threads, self._providers = threads, tuple(providers)
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


def _load(model: ir.Model, threads: int, providers: Sequence[str]) -> ort.InferenceSession:
    with tempfile.TemporaryDirectory() as folder:  # what the session needs of it is mapped once it is loaded
        return opened(source_of(model, Path(folder)), threads=threads, providers=providers)
