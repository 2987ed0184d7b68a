"""What became of each layer of one candidate, in figures."""

from collections.abc import Collection, Mapping

from app.contracts.result import LayerFigures, LayerReport
from workers.pipeline.methods.static.refinement import Refined
from workers.pipeline.methods.static.strategies import Strategy
from workers.quantization.error_metrics import sqnr
from workers.quantization.graph.constants import float_constant_of, let_go
from workers.quantization.layer_trial import LayerError
from workers.quantization.placement import Pair
from workers.quantization.placement.sites import tensors_of
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.quantization.scheme import Scheme


def layer_reports(
    refined: Refined,
    strategy: Strategy,
    errors: Mapping[str, LayerError],
    *,
    corrected: Collection[str],
) -> tuple[LayerReport, ...]:
    """One for every operator that could have been quantized, with figures for those that multiply."""
    graph, placement = refined.prepared.model.graph, refined.prepared.placement
    inputs = {site.node: (tensor, site) for tensor, sites in tensors_of(graph, placement).items() for site in sites}
    nodes = {node.name: node for node in graph}
    reports = []
    for decision in placement.decisions:
        figures = None
        if decision.node in inputs and decision.node in refined.rounded:
            tensor, site = inputs[decision.node]
            source = nodes[decision.node].inputs[site.weight_input]
            weight = float_constant_of(source)
            assert weight is not None
            rounded = refined.rounded[decision.node]
            pair = next(p for p in placement.pairs if p.tensor == tensor)
            figures = LayerFigures(
                scheme=_scheme(pair.scheme, rounded),
                rounding=rounded.rounding,
                smoothquant_alpha=refined.alphas.get(tensor),
                bias_corrected=decision.node in corrected,
                weight_sqnr_db=rounded.sqnr_db(weight),
                **_input(refined, strategy, pair),
                **_measured(errors.get(decision.node), corrected=decision.node in corrected),
            )
            let_go(source)
        reports.append(
            LayerReport(
                node=decision.node,
                op_type=decision.op_type,
                quantized=decision.quantized,
                reason=decision.reason,
                figures=figures,
            )
        )
    return tuple(reports)


def _scheme(activation: Scheme, rounded: RoundedWeight) -> str:
    weight = rounded.qparams.scheme
    limit = ", neighbours limited" if rounded.limited_pairs else ""
    return f"{activation.dtype} {activation.granularity} x {weight.dtype} {weight.granularity}{limit}"


def _input(refined: Refined, strategy: Strategy, pair: Pair) -> dict[str, object]:
    return {
        "input": pair.tensor,
        "input_range": strategy.ranges[pair.scale_of],
        "range_method": strategy.methods[pair.scale_of],
        "sensitivity_db": refined.costs_db.get(pair.scale_of),
    }


def _measured(error: LayerError | None, *, corrected: bool) -> dict[str, object]:
    if error is None or not error.positions:
        return {}
    noise = error.corrected_noise if corrected else error.output_noise
    return {
        "clip_fraction": error.clip_fraction,
        "input_sqnr_db": sqnr(error.input_signal, error.input_noise),
        "output_sqnr_db": sqnr(error.output_signal, noise),
    }
