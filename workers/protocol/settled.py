"""What a recipe leaves to the worker, settled by the processor that it runs on."""

from app.contracts.recipes.recipe import AnyRecipe
from workers.protocol.processor import cpu_has_vnni


def settled(recipe: AnyRecipe, *, has_vnni: bool | None = None) -> AnyRecipe:
    """The recipe with a value in place of `auto`. Supervisor and process run on one machine, and find the same.

    has_vnni: None asks the processor.
    """
    if recipe.method == "float16" or recipe.reduce_range != "auto":
        return recipe
    has_vnni = cpu_has_vnni() if has_vnni is None else has_vnni
    return recipe.model_copy(update={"reduce_range": not has_vnni})
