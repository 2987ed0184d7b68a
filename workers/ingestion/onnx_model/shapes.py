"""What types and shapes results have: the format's own inference, run over the graph without its weights.

Jobs read the shapes it finds. Where the operators agree with each other, notes in the file that contradict them are
left out with a warning: exporters copy them from models with other extents, and runtimes ignore them as well.
"""

from collections.abc import Callable

import onnx
from onnx import shape_inference

from app.contracts.problem import quoted, refuse
from workers.quantization.skeleton import without_weights

_MADE_UP = "unk__"
"""How onnx calls extents of which it knows nothing."""


def note_shapes(model: onnx.ModelProto, warn: Callable[[str, str], None]) -> None:
    """Note, in the model itself, the shape of every result that could be inferred.

    Raises ProblemFound when operators contradict each other.
    """
    skeleton = without_weights(model).model
    try:
        found = _inferred(skeleton)
        outputs = found.graph.output
    except _CONTRADICTION as error:
        found = _inferred_without_notes(skeleton)
        outputs = skeleton.graph.output
        warn("shape_notes_dropped", f"The shapes that the file notes contradict its operators: {_first_line(error)}")
    # not the whole of what the tool returns: the weights would have to be copied into it
    for notes, better in ((model.graph.value_info, found.graph.value_info), (model.graph.output, outputs)):
        del notes[:]
        notes.extend(better)


def _inferred_without_notes(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return _inferred(_without_notes(skeleton))
    except _CONTRADICTION as error:
        raise refuse("onnx_invalid", quoted(_first_line(error))) from error


_CONTRADICTION = (shape_inference.InferenceError, ValueError, RuntimeError)


def _inferred(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    """With the values of small tensors if that succeeds: it finds more."""
    try:
        found = shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=True)
    except _CONTRADICTION:
        found = shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True)
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
