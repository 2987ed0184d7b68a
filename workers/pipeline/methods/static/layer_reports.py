"""What became of each layer of one candidate, in figures."""

from collections.abc import Collection, Mapping

from app.contracts.result import LayerFigures, LayerReport
from workers.pipeline.methods.static.refinement import Refined
from workers.pipeline.methods.static.strategies import Strategy
from workers.quantization.error_metrics import decibels
from workers.quantization.graph.constants import float_constant_of, let_go
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.layer_trial import LayerError
from workers.quantization.placement import LayerDecision, Pair
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
    """One for every operator that could have been quantized, with figures for those that multiply.

    errors: by operator, of those that were tried. corrected: operators whose bias the mean error was taken out of.
    """
    graph, placement = refined.prepared.model.graph, refined.prepared.placement
    sites = {site.node: (tensor, site) for tensor, some in tensors_of(graph, placement).items() for site in some}

    def figures(node: str) -> LayerFigures | None:
        if node not in sites or node not in refined.rounded:
            return None
        tensor, site = sites[node]
        return _figures(refined, strategy, tensor, site, errors.get(node), corrected=node in corrected)

    return tuple(_report(decision, figures(decision.node)) for decision in placement.decisions)


def _report(decision: LayerDecision, figures: LayerFigures | None) -> LayerReport:
    return LayerReport(
        node=decision.node,
        op_type=decision.op_type,
        quantized=decision.quantized,
        reason=decision.reason,
        figures=figures,
    )


def _figures(
    refined: Refined, strategy: Strategy, tensor: str, site: WeightSite, error: LayerError | None, *, corrected: bool
) -> LayerFigures:
    source = refined.prepared.nodes[site.node].inputs[site.weight_input]
    weight, rounded = float_constant_of(source), refined.rounded[site.node]
    assert weight is not None
    pair = refined.prepared.placement.pair_of(tensor)
    found = LayerFigures(
        scheme=_scheme(pair.scheme, rounded),
        rounding=rounded.rounding,
        smoothquant_alpha=refined.alphas.get(tensor),
        bias_corrected=corrected,
        weight_sqnr_db=rounded.sqnr_db(weight),
        **_input(refined, strategy, pair),
        **_measured(error, corrected=corrected),
    )
    let_go(source)
    return found


def _scheme(activation: Scheme, rounded: RoundedWeight) -> str:
    weight = rounded.qparams.scheme
    limit = ", neighbours limited" if rounded.limited_pairs else ""
    return f"{activation.dtype} {activation.granularity} x {weight.dtype} {weight.granularity}{limit}"


def _input(refined: Refined, strategy: Strategy, pair: Pair) -> dict[str, object]:
    fit = strategy.fits[pair.scale_of]
    return {
        "input": pair.tensor,
        "input_range": fit.span,
        "range_method": fit.method,
        "sensitivity_db": refined.costs_db.get(pair.scale_of),
    }


def _measured(error: LayerError | None, *, corrected: bool) -> dict[str, object]:
    if error is None or not error.positions:
        return {}
    noise = error.corrected_noise if corrected else error.output_noise
    return {
        "clip_fraction": error.clip_fraction,
        "input_sqnr_db": decibels(error.input_signal, error.input_noise),
        "output_sqnr_db": decibels(error.output_signal, noise),
    }
