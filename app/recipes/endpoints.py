"""Presets over HTTP, with the schema that a form can be built from."""

from typing import Any, Literal, get_args

from fastapi import APIRouter
from pydantic import BaseModel

from app.auth.principal import Caller
from app.contracts.problem import refuse
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESET_SUMMARIES, PRESETS
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.request import RecipeRequest
from app.problems import documented

router = APIRouter(prefix="/v1/recipes", tags=["recipes"])


class PresetRead(BaseModel):
    object: Literal["recipe"] = "recipe"
    name: PresetName
    summary: str
    recipe: AnyRecipe


class PresetList(BaseModel):
    object: Literal["list"] = "list"
    data: list[PresetRead]
    has_more: Literal[False] = False


@router.get("", response_model=PresetList, operation_id="list_recipes", responses=documented())
async def list_recipes(_: Caller) -> PresetList:
    """Every preset, resolved."""
    return PresetList(data=[_read(name) for name in get_args(PresetName)])


@router.get("/schema", operation_id="get_recipe_schema", responses=documented())
async def get_recipe_schema(_: Caller) -> dict[str, Any]:
    """The JSON Schema of a job's `recipe`. `x-methods` of a field names the methods that read it."""
    schema: dict[str, Any] = RecipeRequest.model_json_schema()
    return schema


@router.get("/{name}", response_model=PresetRead, operation_id="get_recipe", responses=documented("not_found"))
async def get_recipe(name: str, _: Caller) -> PresetRead:
    """One preset."""
    for known in get_args(PresetName):
        if known == name:
            return _read(known)
    raise refuse("not_found", "There is no such recipe.", hint="Presets: " + ", ".join(get_args(PresetName)))


def _read(name: PresetName) -> PresetRead:
    return PresetRead(name=name, summary=PRESET_SUMMARIES[name], recipe=PRESETS[name])
