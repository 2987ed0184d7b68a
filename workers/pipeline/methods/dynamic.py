"""Methods that need no statistics: ONNX Runtime's dynamic int8, and a cast to float16."""

from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.problem import quoted, refuse
from app.contracts.result import LayerReport
from workers.pipeline.delivery.candidates import Produced, write_candidate
from workers.pipeline.methods.float16 import _float16
from workers.pipeline.methods.method import Draft
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.dynamic import DynamicQuantizationFailed, NothingQuantized, names_left, quantize_dynamic
from workers.quantization.graph.model_file import from_message
from workers.quantization.graph.opset import raise_opset
from workers.quantization.graph.skeleton import tensor_bytes
from workers.quantization.graph.weighted_operators import is_candidate
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.passes.quantize_products import quantize_products

_MOST_FOR_THE_TOOL = 256 << 20
"""Bytes of weights. ONNX Runtime's dynamic quantizer takes eight times as much memory."""


def plain_candidates(
    model: onnx.ModelProto, model_folder: Path, task: QuantizeTask, folder: Path, reporter: Reporter
) -> Produced:
    """One candidate. model_folder: where the model's external data lies. Raises ProblemFound."""
    source = lift_constants(from_message(raise_opset(model), model_folder))
    if task.recipe.method == "float16":
        draft = _float16(source, task, reporter)
    elif sum(map(tensor_bytes, model.graph.initializer)) > _MOST_FOR_THE_TOOL:
        draft = _dynamic_by_weight(source, task)
    else:
        draft = _dynamic(source, task)
    return Produced((write_candidate(draft, task, folder),))


def _dynamic_by_weight(source: ir.Model, task: QuantizeTask) -> Draft:
    """For a model too large for ONNX Runtime's tool."""
    recipe = task.recipe
    candidates = [node for node in source.graph if is_candidate(node)]
    excluded = {node.name or "" for node in source.graph if node.op_type in recipe.op_types_to_exclude}
    done = quantize_products(
        source,
        per_channel=recipe.per_channel,
        limited=recipe.reduce_range,
        nodes_to_exclude=excluded | set(recipe.nodes_to_exclude),
    )
    if not done:
        raise refuse(
            "nothing_to_quantize", "No Gather, Gemm, MatMul that is not excluded has a constant float32 weight."
        )
    layers = tuple(_dynamic_report(node, quantized=node.name in done) for node in candidates)
    return Draft("dynamic", "int8 dynamic", "dynamic", "int8", None, source, layers)


def _dynamic(model: ir.Model, task: QuantizeTask) -> Draft:
    recipe = task.recipe
    source = ir.to_proto(model)
    excluded = [n.name for n in source.graph.node if n.op_type in recipe.op_types_to_exclude]
    try:
        result = quantize_dynamic(
            source,
            per_channel=recipe.per_channel,
            reduce_range=recipe.reduce_range,
            nodes_to_exclude=[*recipe.nodes_to_exclude, *excluded],
        )
    except NothingQuantized as error:
        raise refuse("nothing_to_quantize", str(error)) from error
    except DynamicQuantizationFailed as error:
        raise refuse("model_not_runnable", f"ONNX Runtime's dynamic quantizer: {quoted(str(error))}") from error
    left = {n.name for n in result.graph.node} - _integers(result)
    candidates = [n for n in ir.from_proto(source).graph if is_candidate(n)]
    layers = tuple(_dynamic_report(n, quantized=left.isdisjoint(names_left(n.name or ""))) for n in candidates)
    return Draft("dynamic", "int8 dynamic", "dynamic", "int8", None, ir.from_proto(result), layers)


def _dynamic_report(node: ir.Node, *, quantized: bool) -> LayerReport:
    reason = "int8 weight; the range of its input is found at run time."
    left = "The dynamic form leaves it in float."
    return LayerReport(
        node=node.name or "", op_type=node.op_type, quantized=quantized, reason=reason if quantized else left
    )


def _integers(model: onnx.ModelProto) -> set[str]:
    """Names of operators that read an integer initializer."""
    integers = {
        i.name for i in model.graph.initializer if i.data_type in {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    }
    return {n.name for n in model.graph.node if integers & set(n.input)}
