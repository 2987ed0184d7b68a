"""What a recipe asks of the float graph, and of the one pass of calibration data through it."""

from app.contracts.model import Contract
from app.contracts.recipes.static import Equalize, StaticRecipe


class GraphWish(Contract):
    """Which graph is quantized, and what of it is left alone."""

    equalize: Equalize
    op_types_to_exclude: tuple[str, ...]
    """Sorted, each once, as the nodes are: their order means nothing."""
    nodes_to_exclude: tuple[str, ...]


class Gathering(Contract):
    """What shapes the statistics: which graph is observed, with how much of the data, and what is gathered of it.

    How ranges and integers follow from the statistics shapes nothing: a job with other percentiles shares them.
    """

    graph: GraphWish
    samples: int | None
    """At most so many, the first ones; None: all."""
    judged: bool
    """Samples are dealt out to parts with statistics of their own, so that what one has shaped another can judge; and
    where the graph is equalized, the plain one is observed too."""
    averages: bool
    channels: bool
    moments: bool


def graph_wish(recipe: StaticRecipe) -> GraphWish:
    return GraphWish(
        equalize=recipe.equalize,
        op_types_to_exclude=tuple(sorted(set(recipe.op_types_to_exclude))),
        nodes_to_exclude=tuple(sorted(set(recipe.nodes_to_exclude))),
    )


def gathering(recipe: StaticRecipe) -> Gathering:
    return Gathering(
        graph=graph_wish(recipe),
        samples=recipe.calibration_samples,
        judged=recipe.calibration_method == "measured",
        averages=recipe.calibration_method == "moving_average",
        channels=recipe.smoothquant_alpha != "off",
        moments=recipe.rounding == "gptq",
    )
