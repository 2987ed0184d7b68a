"""The answer to `--dry-run`: what would be done, or everything that is wrong at once."""

import json
import sys

import typer

from lowbit.command.exits import ExitCode
from lowbit.command.options import Format
from lowbit.command.printing import print_facts, print_json, print_lines
from lowbit.problem import Problem
from lowbit.resources import Validation


def report_dry_run(validation: Validation, output: Format) -> None:
    if output is Format.JSON:
        print_json(validation)
    for raw in validation["problems"]:
        sys.stderr.write(f"lowbit: {Problem.parse(raw).explain()}\n")
    if not validation["ok"]:
        raise typer.Exit(ExitCode.FAILED)
    if output is Format.HUMAN:
        print_lines(["The request is valid. No job was created. The recipe in full:"])
        print_facts(
            {key: json.dumps(value) for key, value in (validation["resolved_recipe"] or {"recipe": None}).items()}
        )
        print_lines(f"Warning: {warning['detail']}" for warning in validation["warnings"])
