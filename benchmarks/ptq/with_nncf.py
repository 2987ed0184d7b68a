"""Quantize with NNCF's ONNX backend, set up as its documentation advises for transformers.

Runs in the peers' environment: nothing is imported that is not there.
"""

import json
import os
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.assignment import Production

os.environ["NNCF_CI"] = "1"  # or it reports its use over the network; read when nncf is imported

Batch = dict[str, npt.NDArray[np.generic]]

_ROWS = 8  # on the classifier it does better with batches than with single rows


def quantize(told: Production) -> None:
    """For transformers with symmetric ranges; SmoothQuant and fast bias correction are what it does by default."""
    import nncf  # type: ignore[import-not-found]  # noqa: PLC0415  # after NNCF_CI is set

    model = onnx.load(told.model)
    batches = list(_batches(told, tuple(value.name for value in model.graph.input)))
    quantized = nncf.quantize(
        model,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(batches),  # it counts what it is given
    )
    onnx.save(quantized, told.written)


def _batches(told: Production, inputs: tuple[str, ...]) -> Iterator[Batch]:
    with np.load(told.archive) as archive:
        arrays = {name: archive[name][: told.samples] for name in inputs}
    for start in range(0, len(arrays[inputs[0]]), _ROWS):
        yield {name: array[start : start + _ROWS] for name, array in arrays.items()}


if __name__ == "__main__":
    quantize(Production(**json.loads(sys.argv[1])))
