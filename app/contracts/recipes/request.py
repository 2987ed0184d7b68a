"""A recipe as a client asks for it: a preset, and what to change in it."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from app.contracts.model import Contract
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.recipe import RECIPE, RECIPES, AnyRecipe, readers_of


def _optional(name: str) -> tuple[Any, Any]:
    """A field as its methods have it, or null. `x-methods` tells a form when it may be filled in."""
    methods = readers_of(name)
    fields = {method: RECIPES[method].model_fields[name] for method in methods}
    annotation = _one_type([field.rebuild_annotation() for field in fields.values()])
    told = Field(
        default=None,
        description=_one_description({method: field.description or "" for method, field in fields.items()}),
        json_schema_extra={"x-methods": list(methods)},
    )
    return annotation | None, told


def _one_type(types: list[Any]) -> Any:  # noqa: ANN401  an annotation
    """That of all methods; where each has choices of its own, all of them."""
    if all(get_origin(found) is Literal for found in types):
        return Literal[tuple(choice for found in types for choice in get_args(found))]
    return types[0]


def _one_description(by_method: Mapping[str, str]) -> str:
    if len(set(by_method.values())) == 1:
        return next(iter(by_method.values()))
    return " ".join(f"`{method}`: {description}" for method, description in by_method.items())


def _changes() -> type[Contract]:
    """All fields of all methods, each of them optional."""
    names = dict.fromkeys(name for kind in RECIPES.values() for name in kind.model_fields)
    fields: dict[str, Any] = {name: _optional(name) for name in names}
    preset = Field(default="int8-balanced", description="What a field left out, or null, is taken from.")
    return create_model("_Changes", __base__=Contract, **{**fields, "preset": (PresetName, preset)})


class RecipeRequest(_changes()):  # type: ignore[misc]  # its fields follow from the union, which no checker can see
    """A preset and what to change in it. A field left out, or null, keeps the preset's value.

    What the method does not read is refused. `x-methods` of each field names the methods that do.
    """

    @field_validator("*")
    @classmethod
    def _read_by_the_method(cls, value: object, info: ValidationInfo) -> object:
        """`preset` and `method` come first, so they are known here unless they were refused themselves."""
        begun, field = _begun(info.data), info.field_name or ""
        if value is None or begun is None or field in type(begun).model_fields:
            return value
        methods = " or ".join(f'"{method}"' for method in readers_of(field))
        raise PydanticCustomError(
            "unread",
            "The method `{method}` does not read `{field}`",
            {
                "method": begun.method,
                "field": field,
                "hint": f"Leave `{field}` out, or set `method` to {methods}.",
            },
        )

    @field_validator("percentiles")
    @classmethod
    def _each_once(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("each percentile may be named once")
        return value

    @field_validator("percentiles")
    @classmethod
    def _read_by_the_ranges(cls, value: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        """A change that would change nothing. The preset's own values pass: they stand in every resolved recipe."""
        begun = _begun(info.data)
        if value is None or begun is None or begun.method != "static" or value == begun.percentiles:
            return value
        method = info.data.get("calibration_method") or begun.calibration_method
        if method != "percentile":
            hint = 'Set `calibration_method` to "percentile", or leave `percentiles` out.'
            raise PydanticCustomError(
                "percentiles_unread",
                "No range follows from percentiles with `{method}`",
                {"method": method, "hint": hint},
            )
        return value

    def resolve(self) -> AnyRecipe:
        """Fill every field that was left out from the preset."""
        changes = self.model_dump(exclude_none=True)
        return RECIPE.validate_python({**_under(self.preset, self.method).model_dump(), **changes})


def _begun(data: Mapping[str, Any]) -> AnyRecipe | None:
    """What is changed, as far as it is known: neither before `method` was read, nor when it was refused."""
    if not {"preset", "method"} <= set(data):
        return None
    return _under(data["preset"], data["method"])


def _under(preset: PresetName, method: str | None) -> AnyRecipe:
    """A preset. Under another method it keeps what both read, and has the method's own defaults for the rest."""
    recipe = PRESETS[preset]
    if method is None or method == recipe.method:
        return recipe
    shared = set(RECIPES[method].model_fields) - {"method"}
    return RECIPE.validate_python({**recipe.model_dump(include=shared), "method": method})
