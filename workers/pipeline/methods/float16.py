"""A cast to float16: no integers, no statistics."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from app.contracts.problem import quoted, refuse
from app.contracts.recipes.float16 import Float16Recipe
from app.contracts.result import LayerReport
from app.contracts.status import Stage
from workers.pipeline.desk import Desk
from workers.pipeline.methods.lifting import in_float, lifted
from workers.pipeline.methods.method import Draft, Proposal
from workers.pipeline.original import Original
from workers.quantization.graph.weighted_operators import is_candidate
from workers.quantization.passes.float16 import TypesUnknown, cast_to_float16
from workers.targets.target import Target

_MOST_WARNINGS = 8


class Float16:
    def proposals(self, recipe: Float16Recipe) -> tuple[Proposal, ...]:
        return (Proposal(recipe=recipe),)

    def begin(self, recipe: Float16Recipe, model: onnx.ModelProto, folder: Path, target: Target) -> "Float16Maker":  # noqa: ARG002  one form for all
        return Float16Maker(model, folder)


@dataclass(frozen=True)
class Float16Maker:
    model: onnx.ModelProto
    folder: Path
    """Where the model's external data lies."""
    stage: Stage = Stage.QUANTIZE
    calibrated_by: str | None = None

    def make(
        self, proposal: Proposal, original: Original, desk: Desk, *, left_out: frozenset[str] = frozenset()
    ) -> tuple[Draft, ...]:
        recipe = proposal.recipe
        assert isinstance(recipe, Float16Recipe)  # as this method proposed it
        cast = lifted(self.model, self.folder, original, desk)
        try:
            report = cast_to_float16(cast, nodes_to_keep=in_float(cast.graph, recipe, left_out))
        except TypesUnknown as error:
            raise refuse("onnx_invalid", quoted(str(error))) from error
        for name, misfits in list(report.misfits.items())[:_MOST_WARNINGS]:
            desk.reporter.warn("float16_misfit", f"{quoted(name)}: {'; '.join(str(m) for m in misfits)}")
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
        return (Draft("float16", "float16", "float16", "float16", None, cast, layers),)
