"""The result in one plain sentence, with the figures it rests on."""

from collections.abc import Sequence

from app.contracts.inspection import Notice
from app.contracts.objective import Objective
from app.contracts.result import Interval, Metrics, Outcome, OutputMetrics, VariantOutcome
from workers.pipeline.search.choice import TIMER_NOISE, worst_output
from workers.pipeline.search.poor_results import IN_THE_VERDICT

_HIDDEN_DB = 6.0


def verdict(
    best: VariantOutcome,
    baseline: VariantOutcome,
    objective: Objective,
    outcome: Outcome,
    warnings: Sequence[Notice] = (),
) -> str:
    """Honest when int8 does not pay: a user needs to read it here, not to find out in production."""
    beware = [notice.detail for notice in warnings if notice.code in IN_THE_VERDICT]
    return " ".join([_plain(best, baseline, objective, outcome), *beware])


def _plain(best: VariantOutcome, baseline: VariantOutcome, objective: Objective, outcome: Outcome) -> str:
    parts = [_speed(best.metrics), _size(best.metrics, baseline.metrics), _quality(best.metrics)]
    facts = ", ".join(p for p in parts if p)
    if outcome == "objective_unmet":
        allowed = _points(objective.max_accuracy_drop or 0.0)
        return f"No candidate loses at most {allowed} of accuracy; the most accurate, {best.label}, has {facts}."
    caveat = _caveat(best.metrics, baseline.metrics)
    if caveat:
        return f"{best.label} is {caveat} on this machine: {facts}."
    return f"{best.label} has {facts}."


def _caveat(best: Metrics, baseline: Metrics) -> str:
    """What it does not gain, or loses. What rounds to 1, or lies within the timer's noise, is neither."""
    size = round(best.size_bytes / baseline.size_bytes, 2)
    speed = 1.0 if best.speedup is None else best.speedup
    slower, faster = speed < 1.0 - TIMER_NOISE, speed > 1.0 + TIMER_NOISE
    if size < 1.0:
        return "smaller but slower" if slower else ""
    if faster:
        return "faster but larger" if size > 1.0 else ""
    return "not smaller" if best.speedup is None else "neither smaller nor faster"


def _speed(metrics: Metrics) -> str:
    if metrics.speedup is None:
        return ""
    return f"{metrics.speedup:.2f}x the speed of the float model at batch size {metrics.benchmark[0].batch_size}"


def _size(best: Metrics, baseline: Metrics) -> str:
    return f"{best.size_bytes / baseline.size_bytes:.0%} of its size"


def _quality(metrics: Metrics) -> str:
    if metrics.accuracy is not None and metrics.accuracy_delta is not None:
        change = f"{metrics.accuracy_delta * 100:+.2f} points{_interval(metrics.accuracy_delta_ci95)}"
        return f"and an accuracy of {metrics.accuracy:.2%} ({change}, on {metrics.samples} samples)"
    if metrics.agreement is not None:
        predictions = f"and agrees with it on {metrics.agreement:.2%} of predictions"
        return f"{predictions}{_others(metrics)} ({metrics.samples} samples)"
    worst = worst_output(metrics)
    if worst is not None:
        which = "outputs" if len(metrics.outputs) == 1 else f"outputs of which the worst, {worst.name}, is"
        return (
            f"and {which} at {worst.sqnr_db:.1f} dB signal-to-noise ratio{_channel(worst)} ({metrics.samples} samples)"
        )
    is_compared = metrics.samples and not any(output.misshapen for output in metrics.outputs)
    return "and outputs equal to the last bit" if is_compared else "and outputs that were not compared"


def _channel(output: OutputMetrics) -> str:
    """Where one channel is much worse than all together."""
    if (
        output.worst_channel_db is None
        or output.sqnr_db is None
        or output.worst_channel_db > output.sqnr_db - _HIDDEN_DB
    ):
        return ""
    return f", {output.worst_channel_db:.1f} dB in its worst channel"


def _others(metrics: Metrics) -> str:
    """Predictions say nothing of the other outputs."""
    worst = worst_output(metrics)
    if worst is None or len(metrics.outputs) == 1:
        return ""
    return f", with {worst.sqnr_db:.1f} dB at its worst output, {worst.name}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" [{interval[0] * 100:+.2f}, {interval[1] * 100:+.2f}]"


def _points(share: float) -> str:
    return f"{share * 100:g} point{'' if share == 0.01 else 's'}"
