"""The answer to `--dry-run`: what would be done, or everything that is wrong at once."""

import json
import sys
from collections.abc import Iterator

import typer

from lowbit.command.exits import ExitCode
from lowbit.command.figures import roughly, size
from lowbit.command.options import Format
from lowbit.command.printing import print_facts, print_json, print_lines
from lowbit.problem import Problem
from lowbit.resources import JobEstimate, Validation


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
        print_lines(_foreseen(validation.get("estimate")))
        print_lines(f"Warning: {warning['detail']}" for warning in validation["warnings"])


def _foreseen(estimate: JobEstimate | None) -> Iterator[str]:
    if not estimate:
        return
    if estimate["peak_memory_bytes"] is not None:
        yield (
            f"It may take about {size(estimate['peak_memory_bytes'])} of memory; an int8 model has about "
            f"{size(estimate['quantized_bytes'])}."
        )
    if estimate["seconds"] is not None:
        jobs = f"{estimate['comparable_jobs']} finished job{'s' if estimate['comparable_jobs'] > 1 else ''}"
        yield f"It may take about {roughly(estimate['seconds'])}, judged by {jobs} with this preset."
