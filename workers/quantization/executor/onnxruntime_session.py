"""A model loaded into ONNX Runtime, to be run and timed."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from workers.quantization.executor.protocol import RuntimeRefused
from workers.quantization.executor.runtime_errors import refusal
from workers.quantization.graph.model_file import fits_one_file, save_model, self_contained

Arrays = Mapping[str, npt.NDArray[np.generic]]

_LARGEST_MESSAGE = 1 << 30
"""Bytes of weights: while a message is passed on, there are two copies of it."""

_FATAL_ONLY = 4  # ONNX Runtime's severity; its warnings name files and go to stderr unasked


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
