"""Which candidate is best, and which variants are worth a look. Point estimates decide; intervals are reported."""

from collections.abc import Hashable, Mapping, Sequence

from app.contracts.objective import Objective
from app.contracts.result import Metrics, Outcome, OutputMetrics, VariantOutcome

TIMER_NOISE = 0.03
"""Within 3 % the order of two timings is chance."""


def is_admissible(metrics: Metrics, objective: Objective) -> bool:
    """True when no more accuracy is lost than allowed. An accuracy that was not measured is not admissible."""
    if objective.max_accuracy_drop is None:
        return True
    return metrics.accuracy_delta is not None and metrics.accuracy_delta >= -objective.max_accuracy_drop


def choose(
    variants: Sequence[VariantOutcome], objective: Objective, *, graphs: Mapping[str, Hashable] | None = None
) -> tuple[str, Outcome]:
    """The key of the best candidate, and how the objective fared.

    Among the admissible ones the smallest cost wins; those within TIMER_NOISE of it count as equal, and the most
    faithful of them is taken. If none is admissible, the most accurate is named, and the objective is unmet.
    graphs: by key; candidates of one graph differ in nothing but scales, run the same kernels, and are as fast as the
    fastest of them was seen to be, however busy the machine was when the others were measured.
    """
    candidates = [v for v in variants if v.role == "candidate"]
    admissible = [v for v in candidates if v.admissible]
    if not admissible:
        return max(candidates, key=lambda v: (v.metrics.accuracy or 0.0, _fidelity(v.metrics))).key, "objective_unmet"
    graph_of = {v.key: (graphs or {}).get(v.key, v.key) for v in admissible}
    costs: dict[Hashable, float] = {}
    for v in admissible:
        costs[graph_of[v.key]] = min(_cost(v.metrics, objective), costs.get(graph_of[v.key], float("inf")))
    least = min(costs.values())
    equal = [v for v in admissible if costs[graph_of[v.key]] <= least * (1.0 + TIMER_NOISE)]
    outcome: Outcome = "no_objective" if objective.max_accuracy_drop is None else "objective_met"
    return max(equal, key=lambda v: _fidelity(v.metrics)).key, outcome


def pareto_front(variants: Sequence[VariantOutcome]) -> tuple[str, ...]:
    """Keys of the variants that no other equals or beats in quality, latency and size while beating it in one."""
    return tuple(v.key for v in variants if not any(_dominates(o.metrics, v.metrics) for o in variants))


def _dominates(one: Metrics, other: Metrics) -> bool:
    a, b = _losses(one), _losses(other)
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _losses(metrics: Metrics) -> tuple[float, float, float]:
    quality = metrics.agreement if metrics.accuracy is None else metrics.accuracy
    return -(quality or 0.0), _p50(metrics), float(metrics.size_bytes)


def _cost(metrics: Metrics, objective: Objective) -> float:
    return float(metrics.size_bytes) if objective.minimize == "size_bytes" else _p50(metrics)


def _p50(metrics: Metrics) -> float:
    return float("inf") if metrics.latency_ms is None else metrics.latency_ms.p50


def worst_output(metrics: Metrics) -> OutputMetrics | None:
    """The one that is farthest from the float model's; None when nothing is, or nothing was compared."""
    told = [output for output in metrics.outputs if output.sqnr_db is not None]
    return min(told, key=lambda output: output.sqnr_db or 0.0, default=None)


def _fidelity(metrics: Metrics) -> float:
    """The lowest signal-to-noise ratio; null stands for outputs equal to the last bit if anything was compared."""
    worst = worst_output(metrics)
    if worst is not None and worst.sqnr_db is not None:
        return worst.sqnr_db
    if metrics.sqnr_db is not None:
        return metrics.sqnr_db
    return float("inf") if metrics.samples and not any(o.misshapen for o in metrics.outputs) else float("-inf")
