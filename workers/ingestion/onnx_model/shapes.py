"""What types and shapes results have: the format's own inference, run over the graph without its weights.

Jobs read the shapes it finds. Where the operators agree with each other, notes in the file that contradict them are
left out with a warning: exporters copy them from models with other extents, and runtimes ignore them as well.
"""

from collections.abc import Callable

import onnx
from onnx import defs, shape_inference

from app.contracts.problem import quoted, refuse
from workers.ingestion.foreign_errors import first_line
from workers.ingestion.onnx_model.bounded_inference import inferred_with_values
from workers.ingestion.onnx_model.walk import every_node
from workers.quantization.graph.opset import default_opset
from workers.quantization.graph.skeleton import without_weights

_MADE_UP = "unk__"
"""How onnx calls extents of which it knows nothing."""


def note_shapes(model: onnx.ModelProto, warn: Callable[[str, str], None]) -> None:
    """Note, in the model itself, the shape of every result that could be inferred.

    Raises ProblemFound when operators contradict each other.
    """
    skeleton = without_weights(model).model
    _say_defaults(skeleton)
    try:
        found = _inferred(skeleton)
        outputs = found.graph.output
    except _CONTRADICTION as error:
        found = _inferred_without_notes(skeleton)
        outputs = skeleton.graph.output
        warn("shape_notes_dropped", f"The shapes that the file notes contradict its operators: {first_line(error)}")
    # not the whole of what the tool returns: the weights would have to be copied into it
    for notes, better in ((model.graph.value_info, found.graph.value_info), (model.graph.output, outputs)):
        del notes[:]
        notes.extend(better)


def _say_defaults(skeleton: onnx.ModelProto) -> None:
    """Where the standard writes an operator as a function, inference trips over an attribute that is left out: the
    function's body then holds a reference to nothing. So each gets the value that it has by default."""
    opset = default_opset(skeleton) or 0
    for node in every_node(skeleton):
        if node.domain or not defs.has(node.op_type, opset):
            continue
        schema = defs.get_schema(node.op_type, opset)
        said = {attribute.name for attribute in node.attribute}
        if schema.has_function:  # type: ignore[attr-defined]  # onnx's stubs lack it
            defaults = (a.default_value for name, a in schema.attributes.items() if name not in said)
            node.attribute.extend(default for default in defaults if default.name)


def _inferred_without_notes(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return _inferred(_without_notes(skeleton))
    except _CONTRADICTION as error:
        raise refuse("onnx_invalid", quoted(first_line(error))) from error


_CONTRADICTION = (shape_inference.InferenceError, ValueError, RuntimeError)


def _inferred(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    """With the values of small tensors as far as they are known: it finds more."""
    found = inferred_with_values(skeleton)
    given = (*skeleton.graph.input, *skeleton.graph.value_info, *skeleton.graph.output)
    own = {d.dim_param for v in given for d in v.type.tensor_type.shape.dim}
    for value in (*found.graph.value_info, *found.graph.output):
        for extent in value.type.tensor_type.shape.dim:
            if extent.dim_param.startswith(_MADE_UP) and extent.dim_param not in own:
                extent.Clear()
    return found


def _without_notes(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the file says of its results, except the types of its outputs."""
    bare = onnx.ModelProto()
    bare.CopyFrom(skeleton)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return bare
