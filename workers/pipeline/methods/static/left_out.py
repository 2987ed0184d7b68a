"""A candidate again, with some operators in float that its runtime cannot take in integers."""

from collections.abc import Collection
from dataclasses import replace

from app.contracts.problem import refuse
from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.methods.static.refinement import Refined
from workers.pipeline.methods.static.strategies import Strategy
from workers.protocol.gathering import graph_wish
from workers.quantization.placement import Placement
from workers.targets.target import Target


def without(
    refined: Refined, strategy: Strategy, left_out: Collection[str], *, recipe: StaticRecipe, target: Target
) -> tuple[Refined, Strategy]:
    """Raises ProblemFound where nothing would be left in integers.

    The placement is made anew. A tensor that held the integers of another one gets a pair of its own with the same
    scale: nothing has to be observed again."""
    wish = graph_wish(recipe)
    wish = wish.model_copy(update={"nodes_to_exclude": (*wish.nodes_to_exclude, *sorted(left_out))})
    schemes = target.schemes(per_channel=recipe.per_channel)
    placed = target.place(refined.prepared.model, wish, schemes)
    if not placed.placement.weights:
        raise refuse("nothing_to_quantize", "The runtime spoils every operator that could be quantized.")
    before = refined.prepared.placement
    fits = {t: strategy.fits[_scale_before(t, before)] for t in placed.placement.observed}
    return replace(refined, prepared=placed), replace(strategy, fits=fits)


def _scale_before(tensor: str, placement: Placement) -> str:
    return tensor if tensor in placement.scheme_of else placement.pair_of(tensor).scale_of
