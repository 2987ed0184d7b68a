"""`lowbit recipes`: the presets to start from."""

import json
from difflib import get_close_matches
from typing import Annotated

import typer

from lowbit.command.options import Format, FormatOption, examples
from lowbit.command.printing import print_facts, print_json, print_lines, print_table
from lowbit.command.session import connected
from lowbit.errors import NotFound
from lowbit.problem import Problem
from lowbit.resources import RecipePreset

recipes = typer.Typer(
    help="List and show recipes: presets of how to quantize.", no_args_is_help=True, rich_markup_mode=None
)


@recipes.command("list", epilog=examples("lowbit recipes list"))
@recipes.command("ls", hidden=True)
def list_recipes(output: FormatOption = Format.HUMAN) -> None:
    """List the presets."""
    with connected(output) as client:
        presets = client.recipes()
    if output is Format.JSON:
        print_json({"object": "list", "data": presets})
    elif output is Format.QUIET:
        print_lines(preset["name"] for preset in presets)
    else:
        print_table(("NAME", "SUMMARY"), [(preset["name"], preset["summary"]) for preset in presets])


@recipes.command(epilog=examples("lowbit recipes show int8-balanced"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset's name.")], output: FormatOption = Format.HUMAN
) -> None:
    """Show every field of a preset: what `--set recipe.FIELD=VALUE` can change."""
    with connected(output) as client:
        preset = find(client.recipes(), name)
    if output is Format.JSON:
        print_json(preset)
    elif output is Format.QUIET:
        print_lines([preset["name"]])
    else:
        print_lines([preset["summary"], ""])
        print_facts({key: json.dumps(value) for key, value in preset["recipe"].items()})


def find(presets: list[RecipePreset], name: str) -> RecipePreset:
    for preset in presets:
        if preset["name"] == name:
            return preset
    names = [preset["name"] for preset in presets]
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
    raise NotFound(
        Problem.parse({"code": "not_found", "title": f"There is no recipe {name!r}", "hint": hint}, status=404)
    )
