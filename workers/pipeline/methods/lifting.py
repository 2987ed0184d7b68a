"""The graph that needs no target: in an opset that knows integers, with weights that operators read directly."""

from collections.abc import Collection
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.float16 import Float16Recipe
from workers.pipeline.desk import Desk
from workers.pipeline.original import Original
from workers.pipeline.soundness.preparation import proven
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.passes.lift_constants import LIFTING
from workers.targets.preparation import lifted_graph


def lifted(model: onnx.ModelProto, folder: Path, original: Original, desk: Desk) -> ir.Model:
    """Proven to answer as the model does. folder: of its external data. Raises ProblemFound."""

    def prepare(without: frozenset[str]) -> ir.Model:
        return lifted_graph(model, folder, without=without)

    try:
        return proven(prepare, LIFTING, original.first, desk.reporter)
    except OpsetNotConvertible as error:
        raise not_convertible(error) from error


def in_float(graph: ir.Graph, recipe: DynamicRecipe | Float16Recipe, left_out: Collection[str]) -> frozenset[str]:
    """Names of the operators that the recipe excludes, or that a runtime cannot take."""
    by_type = {node.name or "" for node in graph if node.op_type in recipe.op_types_to_exclude}
    return frozenset({*by_type, *recipe.nodes_to_exclude, *left_out})


def not_convertible(error: OpsetNotConvertible) -> ProblemFound:
    detail = f"The model cannot be converted to opset 13, which int8 needs: {quoted(str(error))}"
    return refuse("onnx_opset_unsupported", detail)
