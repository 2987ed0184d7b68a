"""A cast to float16."""

import onnx_ir as ir

from app.contracts.problem import quoted, refuse
from app.contracts.result import LayerReport
from workers.pipeline.methods.method import Draft
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.graph.weighted_operators import is_candidate
from workers.quantization.passes.float16 import TypesUnknown, cast_to_float16

_MOST_WARNINGS = 8


def _float16(cast: ir.Model, task: QuantizeTask, reporter: Reporter) -> Draft:
    excluded = {n.name or "" for n in cast.graph if n.op_type in task.recipe.op_types_to_exclude}
    try:
        report = cast_to_float16(cast, nodes_to_keep={*task.recipe.nodes_to_exclude, *excluded})
    except TypesUnknown as error:
        raise refuse("onnx_invalid", quoted(str(error))) from error
    for name, misfits in list(report.misfits.items())[:_MOST_WARNINGS]:
        reporter.warn("float16_misfit", f"{quoted(name)}: {'; '.join(str(m) for m in misfits)}")
    layers = tuple(
        LayerReport(
            node=n.name or "",
            op_type=n.op_type,
            quantized=n.name not in report.kept,
            reason=report.kept.get(n.name or "", "float16."),
        )
        for n in cast.graph
        if is_candidate(n) or n.name in report.kept
    )
    return Draft("float16", "float16", "float16", "float16", None, cast, layers)
