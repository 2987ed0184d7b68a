"""A model of transformers as an ONNX file, by torch's older exporter.

It traces the model once and takes less than a second where the newer one takes a minute of analysis, and the graphs of
all supported architectures are exact; `comparison` measures it each time. Attention must be the plain one ("eager").
The wrapper is put out of training mode: the exporter restores the mode of what it was given, dropout included.

Peak memory: the model, the copies of its weights that folding transposes them into, and the file being written.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx_ir as ir
import torch
from transformers import PreTrainedModel

from app.contracts.problem import refuse
from workers.ingestion.checkpoint.interface import Interface
from workers.ingestion.onnx_model.canonical import LARGEST_FILE_BYTES
from workers.protocol.canonical_files import MODEL_FILE
from workers.quantization.graph.model_file import load_model, save_model

OPSET = 17
"""The first with LayerNormalization as one operator; targets raise it where they need more."""


class _Traced(torch.nn.Module):
    """Named arguments and results in the order in which the file lists them."""

    def __init__(self, model: PreTrainedModel, interface: Interface) -> None:
        super().__init__()
        self.model = model
        self._interface = interface

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answer = self.model(**dict(zip(self._interface.inputs, values, strict=True)), return_dict=True)
        return tuple(answer[name] for name in self._interface.outputs)


def answers(
    model: PreTrainedModel, interface: Interface, batch: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """What torch computes, one tensor for each output."""
    with torch.inference_mode():
        found: tuple[torch.Tensor, ...] = _Traced(model, interface)(*batch.values())
    return found


def write_onnx(
    model: PreTrainedModel, interface: Interface, batch: Mapping[str, torch.Tensor], folder: Path
) -> tuple[str, ...]:
    """Write `model.onnx` into the folder, and large weights beside it. Returns the names. Raises ProblemFound."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        traced = Path(scratch, MODEL_FILE)
        _trace(_Traced(model, interface).eval(), interface, batch, traced)
        written = save_model(_tidied(load_model(traced)), folder / MODEL_FILE, largest_file_bytes=LARGEST_FILE_BYTES)
    return tuple(path.name for path in written)


def _trace(wrapper: _Traced, interface: Interface, batch: Mapping[str, torch.Tensor], path: Path) -> None:
    try:
        with torch.no_grad(), _silence():
            torch.onnx.export(
                wrapper,
                tuple(batch.values()),
                str(path),  # as a Path, it is taken for a stream, and weights beyond 2 GiB cannot lie beside it
                input_names=list(interface.inputs),
                output_names=list(interface.outputs),
                dynamic_axes={name: dict(axes) for name, axes in interface.axes.items()},
                opset_version=OPSET,
                dynamo=False,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the exporter lets through whatever a model's code raises
        raise refuse("export_failed", f"torch's exporter stopped with {type(error).__name__}.") from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The tracer warns of every number that it takes for fixed: the comparison shows whether one was not."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _tidied(model: ir.Model) -> ir.Model:
    """Without the places in our source code that the exporter notes down."""
    model.doc_string = model.graph.doc_string = None
    for node in model.graph.all_nodes():
        node.doc_string = None
        node.metadata_props.clear()
    return model
