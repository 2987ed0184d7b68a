"""The one form in which jobs read models: ours alone, whoever wrote the upload.

`model.onnx` and, where the tensors take more than 1.5 GiB, `model.onnx.data` with its weights. What follows from the
upload and nothing else is in it, so the same upload gives the same bytes:

1. Functions of the model are written out where they are called.
2. External data comes into the model, or into the one data file. Weights that share their data still do.
3. Shapes of results are noted where they could be inferred. Names stay: of inputs, outputs, nodes and extents.
4. Words that nothing reads go: documentation, notes of exporters, training data, fields that ONNX does not have. What
   the model says about itself as a whole stays; a text reader's alphabet may be there.

The model computes what the upload did, to the last bit.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]  # protobuf ships no types

from app.contracts.problem import refuse
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.data_file import move_weights_out
from workers.ingestion.onnx_model.functions import inlined
from workers.ingestion.onnx_model.inline_data import bring_in, is_large_weight, lift_large_constants
from workers.ingestion.onnx_model.parse import load_model
from workers.ingestion.onnx_model.rules import refuse_unreadable, refuse_unsound
from workers.ingestion.onnx_model.shapes import note_shapes
from workers.ingestion.onnx_model.walk import every, every_tensor
from workers.protocol.canonical_files import DATA_FILE, MODEL_FILE
from workers.protocol.reporter import Reporter
from workers.quantization.graph.skeleton import is_external, tensor_bytes

LARGEST_FILE_BYTES = 3 << 29
"""Of tensors in a single file. Protobuf's limit is 2 GiB, and nodes, names and shapes need room beside them;
passes over the model add to it."""


@dataclass(frozen=True)
class Canonical:
    model: onnx.ModelProto
    """As it was written: weights in the data file are not in it."""
    files: tuple[str, ...]


def ingest_onnx(path: Path, output: Path, reporter: Reporter, *, folder: Path | None = None) -> Canonical:
    """Write the canonical form of the model at `path` into `output`.

    folder: where its external data may lie; None: nowhere. Raises ProblemFound.
    """
    model = load_model(path)
    with FilesBeside(folder) as files:
        refuse_unreadable(model, files)
        model = inlined(model)
        _drop_words(model)
        is_large = sum(map(tensor_bytes, every_tensor(model))) > LARGEST_FILE_BYTES
        _bring_in(model, files, keep_weights_out=is_large)
        refuse_unsound(model, files)
        note_shapes(model, reporter.warn)
        if is_large:
            move_weights_out(model, files, output / DATA_FILE)
    (output / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
    return Canonical(model, (MODEL_FILE, DATA_FILE) if is_large else (MODEL_FILE,))


def _bring_in(model: onnx.ModelProto, files: FilesBeside, *, keep_weights_out: bool) -> None:
    """Read what the model's own file must hold: everything, or all but the weights. Raises ProblemFound."""
    if keep_weights_out:
        lift_large_constants(model)
    graph = model.graph
    weights = [t for t in graph.initializer if not (keep_weights_out and is_large_weight(t))]
    parts = [*graph.node, *graph.sparse_initializer, *weights]
    inside = [tensor for part in parts for tensor in every(part, onnx.TensorProto)]
    if sum(map(tensor_bytes, inside)) > LARGEST_FILE_BYTES:
        raise refuse(
            "onnx_tensor_too_large",
            f"More than {LARGEST_FILE_BYTES} bytes of constants are inside of If, Loop or Scan.",
            hint="Export them as weights of the main graph.",
        )
    for tensor in inside:
        if is_external(tensor):
            bring_in(tensor, files)


def _drop_words(model: onnx.ModelProto) -> None:
    model.DiscardUnknownFields()
    model.ClearField("training_info")
    for message in every(model, Message):
        fields = message.DESCRIPTOR.fields_by_name
        if "doc_string" in fields:
            message.ClearField("doc_string")
        if "metadata_props" in fields and message is not model:
            message.ClearField("metadata_props")
        if isinstance(message, onnx.TensorProto) and not is_external(message):
            message.ClearField("external_data")  # left over by tools that have loaded it
