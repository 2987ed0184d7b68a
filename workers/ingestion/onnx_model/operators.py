"""Which operators a model may use: those of the standard, and functions that it defines itself."""

from collections import Counter
from collections.abc import Iterator, Mapping

import onnx
from onnx import defs

from app.contracts.problem import ProblemDetail, ProblemFound, problem, quoted
from workers.ingestion.onnx_model.walk import every

_STANDARD = frozenset({"", "ai.onnx.ml"})
_OPTIMIZER_WRITES = ("com.microsoft", "com.ms.")
"""How the domains begin in which ONNX Runtime's optimizer writes what it fused."""

_OPTIMIZER_FUSES = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})
"""What it writes in the standard's own domain, whatever the opset."""

_MOST_NAMED = 64


def refuse_foreign_operators(model: onnx.ModelProto) -> None:
    """Raises ProblemFound, which names all kinds of them: mending one after the other would be an upload for each."""
    foreign = list(_foreign(model))
    if not foreign:
        return
    counts = Counter((node.domain, node.op_type) for node in foreign)
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    named = {kind: _told(*kind) for kind in kinds[:_MOST_NAMED]}
    listed = ", ".join(name if counts[kind] == 1 else f"{name} ({counts[kind]} times)" for kind, name in named.items())
    others = f" and {len(kinds) - _MOST_NAMED} other kinds" if len(kinds) > _MOST_NAMED else ""
    first = {(node.domain, node.op_type): node.name for node in foreign}  # `every` goes from the end to the beginning
    raise ProblemFound(
        problem(
            "onnx_operator_not_allowed",
            f"The model uses operators that the ONNX standard does not have in its opset: {listed}{others}.",
            hint=_hint(kinds),
            errors=tuple(
                ProblemDetail(entry=quoted(first[kind] or kind[1]), detail=f"{name} is not of the standard.")
                for kind, name in named.items()
            ),
        )
    )


def _foreign(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    own = {(f.domain, f.name) for f in model.functions}
    for scope, imports in (
        (model.graph, model.opset_import),
        *((training, model.opset_import) for training in model.training_info),
        *((function, function.opset_import) for function in model.functions),
    ):
        versions = {_canonical(o.domain): o.version for o in imports}
        for node in every(scope, onnx.NodeProto):
            if (node.domain, node.op_type) not in own and not _is_standard(node, versions):
                yield node


def _is_standard(node: onnx.NodeProto, versions: Mapping[str, int]) -> bool:
    """The plugins of some runtimes are written in the standard's domain, but are in no version of it."""
    domain = _canonical(node.domain)
    newest = defs.onnx_opset_version()
    return domain in _STANDARD and bool(defs.has(node.op_type, versions.get(domain, newest), domain))


def _canonical(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _told(domain: str, op_type: str) -> str:
    return quoted(f"{domain}.{op_type}" if domain else op_type)


def _hint(kinds: list[tuple[str, str]]) -> str | None:
    if not any(domain.startswith(_OPTIMIZER_WRITES) or op_type in _OPTIMIZER_FUSES for domain, op_type in kinds):
        return None
    return "Some are written by ONNX Runtime's optimizer: upload the model from before ONNX Runtime's optimizer."
