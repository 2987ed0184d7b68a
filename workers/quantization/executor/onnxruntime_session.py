"""ONNX Runtime, opened: the one place where a session gets its options."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from workers.quantization.executor.executor import Interface, Port, RuntimeRefused
from workers.quantization.executor.runtime_errors import refusal
from workers.quantization.graph.model_file import fits_one_file, is_mapped

Arrays = Mapping[str, npt.NDArray[np.generic]]

LARGEST_MESSAGE = 1 << 30
"""Bytes of weights. A protobuf message ends at 2 GiB, and while it is passed on there are two copies of it."""

_FATAL_ONLY = 4  # ONNX Runtime's severity; its warnings name files and go to stderr unasked


class OnnxRuntimeSession:
    """A model loaded for inference: from memory, or from a file, beside which external data is then found."""

    name = "onnxruntime-cpu"

    def __init__(self, model: bytes | Path, *, threads: int, optimized: bool = True) -> None:
        """threads: 0 for as many as the machine has cores. Raises RuntimeRefused."""
        self._session = opened(model, threads=threads, optimized=optimized)
        self.inputs = tuple(i.name for i in self._session.get_inputs())
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    @property
    def interface(self) -> Interface:
        return _ports(self._session.get_inputs()), _ports(self._session.get_outputs())

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


def loaded(model: ir.Model, *, threads: int) -> OnnxRuntimeSession:
    """A session of a model in memory."""
    with tempfile.TemporaryDirectory() as folder:  # what the session needs of it is mapped once it is loaded
        return OnnxRuntimeSession(source_of(model, Path(folder)), threads=threads)


def source_of(model: ir.Model, folder: Path) -> bytes | Path:
    """The model as a message, or as a file if its weights are too large for one or lie in files themselves."""
    if not is_mapped(model) and fits_one_file(model, largest_file_bytes=LARGEST_MESSAGE):
        return bytes(ir.to_proto(model).SerializeToString())
    path = folder / "model.onnx"
    ir.save(model, path, external_data="weights")
    return path


def opened(
    model: bytes | Path, *, threads: int, optimized: bool = True, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> ort.InferenceSession:
    """threads: 0 for as many as the machine has cores. Raises RuntimeRefused, MemoryError."""
    try:
        return ort.InferenceSession(model, _options(threads, optimized=optimized), providers=list(providers))
    except Exception as error:
        raise _refusal(error, model) from error


def quiet_logs() -> None:
    """ONNX Runtime logs to stderr by itself; what matters arrives as an exception."""
    ort.set_default_logger_severity(_FATAL_ONLY)


def _ports(nodes: Sequence[ort.NodeArg]) -> tuple[Port, ...]:
    return tuple(Port(n.name, n.type, len(n.shape) if n.type.startswith("tensor") else None) for n in nodes)


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
    # several sessions, and torch, take turns in one process: a pool that spins while it waits slows the others, up to
    # five times
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # nor are weights packed for kernels, which would read all of them and keep copies
        options.add_session_config_entry("session.disable_prepacking", "1")
    return options
