"""A program's graph (`models/<name>.json`): every operator, expression and tree of it is looked at, the rest dropped.

torch turns targets into functions by `getattr`, expressions into sympy by evaluation, guards into code by `exec`, and
trees into types by name (torch/_export/serde/serialize.py). So each of them must be on a list.
"""

import re
from typing import Any

from app.contracts.problem import quoted, refuse
from app.contracts.strict_json import NotStrictJson, parse_json
from workers.ingestion.program.expressions import check_symbol, plain_expression

_SCHEMA_MAJOR = 8

_ATEN = re.compile(r"torch\.ops\.aten\.[a-zA-Z0-9_]{1,80}\.[a-zA-Z0-9_]{1,80}")
_ON_EXTENTS = frozenset(
    {f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "getitem")}
    | {f"_operator.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_")}
    | {f"torch.{name}" for name in ("sym_int", "sym_float", "sym_max", "sym_min", "sym_ite", "sym_not")}
    | {f"math.{name}" for name in ("ceil", "floor", "trunc")}
)
_NO_PART_OF_A_MODEL = frozenset({"from_file", "set_", "_to_cpu", "record_stream", "resize_"})
"""Operators of aten that open files or change storage."""
_CODE = frozenset({"as_custom_obj", "as_operator", "custom_obj", "as_graph"})
# looked up by what a file holds, which may be nothing that has a hash: so it is no set
_TREES = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None)
_BY_NAME = frozenset({"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "range_constraints"})
_PROGRAM_FIELDS = frozenset(
    {
        "graph_module",
        "opset_version",
        "range_constraints",
        "schema_version",
        "verifiers",
        "torch_version",
        "guards_code",
    }
)


def checked_graph(data: bytes) -> dict[str, Any]:
    """The program with nothing in it that could run. Raises ProblemFound."""
    program = _parsed(data)
    schema = program.get("schema_version")
    if not isinstance(schema, dict) or schema.get("major") != _SCHEMA_MAJOR:
        detail = f"The program has schema {quoted(str(schema))}; {_SCHEMA_MAJOR}.x is supported."
        raise refuse("pt2_version_unsupported", detail)
    _walk(program)
    constraints = program.get("range_constraints") or {}
    if not isinstance(constraints, dict):
        raise refuse("pt2_invalid", "The bounds of the extents have not the form that torch writes.")
    for name in constraints:
        check_symbol(name)
    # what guards check is what the extents say already
    return {**program, "guards_code": [], "verifiers": ["TRAINING"]}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        program = parse_json(data, max_depth=128)
    except NotStrictJson as error:
        raise refuse("pt2_invalid", f"The graph cannot be read: {quoted(str(error))}.") from error
    if not isinstance(program, dict) or set(program) - _PROGRAM_FIELDS or not program.get("graph_module"):
        raise refuse("pt2_invalid", "The graph has not the form that torch writes.")
    return program


def _walk(program: dict[str, Any]) -> None:
    """Rules by the name of a field, wherever it stands: what torch adds later is looked at too."""
    pending: list[Any] = [program]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            _check_fields(item)
            for name, value in item.items():
                # what these hold goes by the names of tensors, which can be anything
                named = name in _BY_NAME and isinstance(value, dict)
                pending.extend(value.values() if named else [value])


def _check_fields(item: dict[str, Any]) -> None:
    if item.get("custom_obj_values"):
        raise refuse("pt2_code_not_allowed", "The graph holds objects of Python.")
    for name in _CODE & item.keys():
        raise refuse("pt2_code_not_allowed", f"The graph holds {quoted(name)}, which torch would make code of.")
    if "expr_str" in item:
        item["expr_str"] = plain_expression(item["expr_str"])
    if "target" in item and "inputs" in item:
        _check_target(item["target"])
        item["metadata"] = {}  # where in whose code the operator was: names that torch would look up
    for name in ("in_spec", "out_spec"):
        if name in item:
            _check_tree(item[name])
    for name in ("metadata", "treespec_namedtuple_fields"):
        if name in item:
            item[name] = {}


def _check_target(target: object) -> None:
    if isinstance(target, str) and target in _ON_EXTENTS:
        return
    if isinstance(target, str) and _ATEN.fullmatch(target) and target.split(".")[3] not in _NO_PART_OF_A_MODEL:
        return
    raise refuse(
        "pt2_code_not_allowed",
        f"The graph calls {quoted(str(target))}, which is no operator of aten.",
        hint="Decompose it first: program.run_decompositions().",
    )


def _check_tree(text: object) -> None:
    try:
        protocol, tree = parse_json(text if isinstance(text, str) else "")
    except (NotStrictJson, ValueError, TypeError) as error:
        raise refuse("pt2_invalid", "The form of the inputs or outputs cannot be read.") from error
    pending = [tree]
    while pending:
        node = pending.pop()
        if protocol != 1 or not isinstance(node, dict) or node.get("type") not in _TREES:
            kind = quoted(str(node.get("type"))) if isinstance(node, dict) else "of an unknown form"
            raise refuse("pt2_code_not_allowed", f"Inputs or outputs are {kind}; tuples, lists and dicts are accepted.")
        children = node.get("children_spec")
        pending.extend(children if isinstance(children, list) else [])
