"""Proof that preparing a graph left its answers alone; a pass that did not is left out, and the report says so."""

from collections.abc import Callable, Sequence

import onnx_ir as ir

from app.contracts.problem import quoted, refuse
from workers.pipeline.soundness.answers import Deviation
from workers.pipeline.soundness.first_batch import FirstBatch
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import loaded

Prepare = Callable[[frozenset[str]], ir.Model]
"""The graph, prepared without the passes that are named."""


def proven(prepare: Prepare, passes: Sequence[str], first: FirstBatch, reporter: Reporter) -> ir.Model:
    """The graph, without the passes that changed its answers. Raises ProblemFound."""
    return prepare(passes_to_leave_out(prepare, passes, first, reporter))


def passes_to_leave_out(
    prepare: Prepare, passes: Sequence[str], first: FirstBatch, reporter: Reporter
) -> frozenset[str]:
    """passes: names, in the order in which they run.

    Raises ProblemFound where nothing that can be left out is to blame.
    """
    left_out: frozenset[str] = frozenset()
    while (deviation := _deviation(prepare(left_out), first)) is not None:
        culprit = _culprit(prepare, [name for name in passes if name not in left_out], left_out, first)
        if culprit is None:
            detail = (
                f"Bringing the model to an opset that knows integers changes its answers: {quoted(str(deviation))}."
            )
            raise refuse("candidate_unsound", detail)
        left_out |= {culprit}
        reporter.warn("pass_left_out", f"The pass {culprit} was left out: with it, {deviation}.")
    return left_out


def _culprit(prepare: Prepare, passes: Sequence[str], left_out: frozenset[str], first: FirstBatch) -> str | None:
    """The first pass with which the answers change, all later ones left out."""
    if _deviation(prepare(left_out | set(passes)), first) is not None:
        return None
    for number, name in enumerate(passes):
        if _deviation(prepare(left_out | set(passes[number + 1 :])), first) is not None:
            return name
    return None


def _deviation(graph: ir.Model, first: FirstBatch) -> Deviation | None:
    if not first.is_deterministic:
        return None
    try:
        return first.deviation_of(loaded(graph, threads=first.threads))
    except RuntimeRefused as error:
        return Deviation(f"(none: {quoted(error.reason)})", float("inf"))
