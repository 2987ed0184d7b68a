"""The methods, by the kind of recipe that asks for each. A new one is a file or folder beside this and a line here."""

from typing import Any

from app.contracts.recipe import Recipe
from workers.pipeline.methods.dynamic import Dynamic
from workers.pipeline.methods.float16 import Float16
from workers.pipeline.methods.method import Method
from workers.pipeline.methods.static.method import Static


def method_of(recipe: Recipe) -> Method[Any]:
    match recipe.method:
        case "static":
            return Static()
        case "dynamic":
            return Dynamic()
        case "float16":
            return Float16()
