"""What is said about the limit on pairs of weights: where the file is right, and what another choice would give."""

from app.contracts.recipes.pair_limit import limits
from app.contracts.recipes.recipe import AnyRecipe
from workers.protocol.reporter import Reporter


def is_exact(recipe: AnyRecipe, *, has_vnni: bool) -> bool:
    """That this processor's sums hold what the recipe's weights make. recipe: settled."""
    return has_vnni or recipe.method == "float16" or limits(recipe.reduce_range)


def tell_of_pair_limit(recipe: AnyRecipe, reporter: Reporter, *, has_vnni: bool) -> None:
    """recipe: settled. has_vnni: of the processor that all of it is measured on."""
    if recipe.method == "float16":
        return
    if not limits(recipe.reduce_range):
        here = "has it" if has_vnni else "has none, so that quality is measured with saturated sums"
        reporter.warn(
            "pair_limit_left_out",
            "Weights use all 8 bits (`reduce_range` is false): the file is exact only on processors with VNNI. The one "
            f"that this job ran on {here}.",
        )
    elif has_vnni:
        reporter.log(
            "Weights are limited (`reduce_range`), so that the file is right on any CPU. This one has VNNI and would "
            'not need it: "auto" would leave the limit out, for a file that is exact only on processors with VNNI.'
        )
