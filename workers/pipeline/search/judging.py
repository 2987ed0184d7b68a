"""Every candidate judged, each with its session alone in memory."""

from collections.abc import Sequence

from app.contracts.inspection import TensorSpec
from app.contracts.objective import Objective
from app.contracts.problem import quoted, refuse
from workers.pipeline.delivery.candidates import Candidate
from workers.pipeline.desk import Desk
from workers.pipeline.evaluation.judge import Judge
from workers.pipeline.evaluation.tally import TopOneTally
from workers.pipeline.feeding.feeder import fitting_rows
from workers.pipeline.original import Original
from workers.targets.target import Target

Tallies = dict[str, TopOneTally]
"""By candidate; empty where nothing could be compared."""


def judged(
    original: Original, candidates: Sequence[Candidate], target: Target, desk: Desk, *, objective: Objective
) -> Tallies:
    """Raises ProblemFound when labels do not fit what the model predicts, or the objective needs what it has not."""
    output = original.output
    if output is None:
        _say_that_nothing_is_compared(desk, objective)
        return {}
    rows = fitting_rows(original.executor, original.evaluation, desk.reporter)
    judge = Judge(original.executor, original.evaluation, original.outputs, rows)
    each = original.evaluation.samples.num_samples
    tallies: Tallies = {}

    def told(seen: int) -> None:
        desk.reporter.progress(len(tallies) * each + seen, len(candidates) * each, "samples")

    for candidate in candidates:
        session = target.open(candidate.path, threads=desk.threads)
        tallies[candidate.key] = judge.judge(session, TopOneTally(output.name), on_samples=told)
    _refuse_without_answers(tallies, original.outputs)
    _warn_of_missing_classes(tallies, output, desk)
    return tallies


def _refuse_without_answers(tallies: Tallies, outputs: Sequence[TensorSpec]) -> None:
    """The float model's answers are the same in every tally."""
    counted = next(iter(tallies.values())).outputs
    if sum(tally.values for tally in counted.values()) == sum(tally.nonfinite for tally in counted.values()):
        names = ", ".join(quoted(output.name) for output in outputs)
        raise refuse("answers_not_finite", f"No value of {names} is a finite number on any of the samples.")


def _say_that_nothing_is_compared(desk: Desk, objective: Objective) -> None:
    desk.reporter.warn("not_comparable", "The model has no float output, so the candidates were not compared with it.")
    if objective.max_accuracy_drop is not None:
        raise refuse(
            "labels_invalid",
            "The model has no float output whose classes labels could name.",
            hint="Leave out `max_accuracy_drop`.",
        )


def _warn_of_missing_classes(tallies: Tallies, output: TensorSpec, desk: Desk) -> None:
    if not any(tally.predictions for tally in tallies.values()):
        desk.reporter.warn(
            "no_class_axis",
            f"Output {quoted(output.name)} is not [samples, classes], nor [samples, positions, classes] with labels: "
            "only signal-to-noise ratios were measured.",
        )
