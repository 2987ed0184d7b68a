"""A model or a data set as `show` prints it: what the inspection found, one fact on each line."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lowbit.command.figures import size
from lowbit.command.options import Format
from lowbit.command.printing import print_facts, print_json, print_lines
from lowbit.problem import Problem

PLAIN = (
    "id",
    "name",
    "status",
    "format",
    "sha256",
    "task",
    "opset",
    "parameters",
    "already_quantized",
    "num_samples",
    "has_labels",
    "created_at",
)

SHOWN = 8
"""Of a list that may be long. `--format json` has all of it."""


def print_one(resource: Mapping[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(resource)
    elif output is Format.QUIET:
        print_lines([resource["id"]])
    else:
        print_facts(facts(resource))


def facts(resource: Mapping[str, Any]) -> dict[str, str]:
    """The lines of `show`. What the inspection has not found yet is left out."""
    told = {key: str(resource[key]) for key in PLAIN if resource.get(key) is not None}
    told["size"] = size(resource["bytes"])
    told |= dict(_tensors(resource)) | dict(_of_model(resource)) | dict(_of_dataset(resource))
    for warning in resource["warnings"]:
        told[f"warning {warning['code']}"] = warning["detail"]
    if resource["problem"]:
        problem = Problem.parse(resource["problem"])
        told["problem"] = f"{problem.code}: {problem.title}. {problem.detail}".rstrip()
        if problem.hint:
            told["hint"] = problem.hint
    return told


def _tensors(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("inputs", "outputs", "columns"):
        for tensor in resource.get(key) or ():
            yield f"{key[:-1]} {tensor['name']}", f"{tensor['dtype']} [{', '.join(map(str, tensor['shape']))}]"


def _of_model(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if classes := model.get("classes"):
        yield "classes", _some(classes)
    if tokenizer := model.get("tokenizer"):
        longest = f", texts of up to {tokenizer['max_length']}" if tokenizer["max_length"] else ""
        yield "tokenizer", f"{tokenizer['vocabulary']} tokens{longest}" + ("" if tokenizer["pads"] else ", cannot pad")
    if images := model.get("image_preparation"):
        yield "images", _fields(images)
    for target, found in (model.get("coverage") or {}).items():
        yield f"coverage {target}", _coverage(found)
    if estimate := model.get("estimate"):
        memory, quantized = size(estimate["peak_memory_bytes"]), size(estimate["quantized_bytes"])
        yield "estimate", f"about {memory} of memory for a job, {quantized} as int8"
    if multiplications := model.get("multiplications_per_sample"):
        yield "multiplications", f"about {multiplications / 1e6:,.1f} million for each sample"


def _of_dataset(dataset: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if preparation := dataset.get("preparation"):
        yield "preparation", _fields(preparation)
    for number, sample in enumerate(dataset.get("preview") or (), start=1):
        yield f"sample {number}", _fields(sample)


def _coverage(found: Mapping[str, Any]) -> str:
    quantized = found["operators_quantized"]
    told = (
        f"{quantized} of {quantized + found['operators_float']} operators, {found['parameters_quantized']} parameters"
    )
    reasons = "; ".join(f"{count} in float: {why.rstrip('.')}" for why, count in found["reasons"].items())
    return f"{told}; {reasons}" if reasons else told


def _fields(values: Mapping[str, Any]) -> str:
    """`kind=text text=review`; what is not said is left out."""
    return " ".join(f"{key}={_value(value)}" for key, value in values.items() if value is not None)


def _value(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return value
    if isinstance(value, list):
        return f"[{_some(value)}]"
    return json.dumps(value, ensure_ascii=False)


def _some(values: list[Any]) -> str:
    more = f", ... {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(str(value) for value in values[:SHOWN]) + more
