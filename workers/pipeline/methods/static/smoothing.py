"""Which tensors are smoothed: those where the predicted gain, weighed by what the tensor costs at the output, pays."""

from collections.abc import Mapping

import numpy as np

from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.methods.static.statistics import Statistics
from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.observers import ChannelObserver
from workers.quantization.placement.sites import tensors_of
from workers.quantization.smoothing import GPTQ_SHARE, NEAREST_SHARE, ChannelStatistics, Smoothing, choose_smoothing
from workers.targets.preparation import Prepared

_WORTH_SHARE = 0.002
"""Of all tensors' noise: a smaller gain is not worth the time of one more multiplication."""


def smoothings(
    prepared: Prepared, statistics: Statistics, recipe: StaticRecipe, noises: Mapping[str, float] | None
) -> dict[str, Smoothing]:
    """By tensor. `noises`: what each costs at the output, or None where that was not measured."""
    if recipe.smoothquant_alpha == "off":
        return {}
    total = sum(noises.values()) if noises is not None else 0.0
    chosen: dict[str, Smoothing] = {}
    for tensor, sites in tensors_of(prepared.model.graph, prepared.placement).items():
        found = _smoothing(prepared, tensor, sites, statistics.channels.get(tensor), recipe)
        if found is None:
            continue
        saved = None if noises is None else noises[tensor] * (1.0 - 10.0 ** (-found.gain_db / 10.0))
        if saved is None or recipe.smoothquant_alpha != "auto" or saved >= _WORTH_SHARE * total:
            chosen[tensor] = found
    return chosen


def _smoothing(
    prepared: Prepared,
    tensor: str,
    sites: tuple[WeightSite, ...],
    channels: ChannelObserver | None,
    recipe: StaticRecipe,
) -> Smoothing | None:
    """None where a reader is no matrix product, or other quantized operators read the same pair."""
    readers = {(site.node, 0) for site in sites}
    pairs = [p for p in prepared.placement.pairs if p.tensor == tensor]
    if channels is None or len(pairs) != 1 or pairs[0].readers is None or set(pairs[0].readers) != readers:
        return None
    known = ChannelStatistics(
        np.where(channels.counts > 0, channels.low, 0.0),
        np.where(channels.counts > 0, channels.high, 0.0),
        channels.mean_square,
        float(channels.counts.max(initial=0)),
    )
    nodes = prepared.nodes
    weights = []
    for site in sites:
        weight = float_constant_of(nodes[site.node].inputs[site.weight_input])
        assert weight is not None
        weights.append(weight if site.axis == 1 else weight.T)  # -> [K, N]
    share = GPTQ_SHARE if recipe.rounding == "gptq" else NEAREST_SHARE
    if isinstance(recipe.smoothquant_alpha, float):
        return choose_smoothing(
            known, weights, weight_share=share, alphas=(recipe.smoothquant_alpha,), worth_db=-np.inf
        )
    return choose_smoothing(known, weights, weight_share=share)
