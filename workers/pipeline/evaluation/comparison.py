"""Float and quantized models side by side on the same samples, a batch at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Fed, Feeder
from workers.protocol.reporter import Reporter
from workers.quantization.error_metrics import SqnrAccumulator
from workers.quantization.executor.onnxruntime_session import Session

Array = npt.NDArray[np.generic]

_PER_SAMPLE = 2
_CLASS_RANKS = {_PER_SAMPLE, 3}  # [samples, classes] and [samples, positions, classes]


@dataclass
class Comparison:
    """Running counts of one quantized model against the float one. A prediction is one row of classes."""

    correct: int = 0
    gained: int = 0
    """Right where the float model is wrong."""
    lost: int = 0
    agreeing: int = 0
    sqnr: SqnrAccumulator = field(default_factory=SqnrAccumulator)


@dataclass
class Evaluation:
    """What was counted over the data set."""

    samples: int = 0
    predictions: int = 0
    """Predictions that were compared; 0 when no output holds classes."""
    labelled: int = 0
    """Predictions that have a label."""
    float_correct: int = 0
    candidates: dict[str, Comparison] = field(default_factory=dict)


def predicting_output(model: ModelInspection) -> TensorSpec | None:
    """The first float output: the one that is compared and scored."""
    return next((o for o in model.outputs if o.dtype.startswith(("float", "bfloat"))), None)


def evaluate(
    baseline: Session,
    candidates: Mapping[str, Session],
    feeder: Feeder,
    reporter: Reporter,
    *,
    output: TensorSpec,
    rows: int,
) -> Evaluation:
    """Run everything once. Raises ProblemFound when labels do not fit what the model predicts."""
    result = Evaluation(candidates={key: Comparison() for key in candidates})
    total = feeder.samples.num_samples
    for fed in feeder.batches(rows):
        feeds = _without_padding(fed, feeder, output)
        expected = _rows(baseline.run(feeds, [output.name])[output.name], fed)
        others = {k: _rows(s.run(feeds, [output.name])[output.name], fed) for k, s in candidates.items()}
        _count(result, fed, expected, others)
        result.samples += fed.rows
        reporter.progress(result.samples, total, "samples")
    if not result.predictions:
        reporter.warn(
            "no_class_axis",
            f"Output {quoted(output.name)} is not [samples, classes] or [samples, positions, classes]: "
            "only its signal-to-noise ratio was measured.",
        )
    return result


def _without_padding(fed: Fed, feeder: Feeder, output: TensorSpec) -> Batch:
    """Columns that are padding in every row change no prediction for a whole sample; one per token they do."""
    return feeder.padding.read(fed.feeds)[0] if len(output.shape) == _PER_SAMPLE else fed.feeds


def _count(result: Evaluation, fed: Fed, expected: Array, others: Mapping[str, Array]) -> None:
    classes = _has_classes(expected, fed)
    float_top = np.asarray(expected.argmax(axis=-1)) if classes else None
    labels = None if fed.labels is None or not classes else _fitting_labels(fed.labels, expected)
    float_right = None if labels is None else np.asarray(float_top == labels)
    if float_top is not None:
        result.predictions += float_top.size
    if float_right is not None:
        result.labelled += float_right.size
        result.float_correct += int(float_right.sum())
    for key, actual in others.items():
        comparison = result.candidates[key]
        comparison.sqnr.observe(expected, actual)  # type: ignore[arg-type]  # the output was chosen for being float
        if float_top is None:
            continue
        top = actual.argmax(axis=-1)
        comparison.agreeing += int((top == float_top).sum())
        if float_right is not None:
            right = top == labels
            comparison.correct += int(right.sum())
            comparison.gained += int((right & ~float_right).sum())
            comparison.lost += int((~right & float_right).sum())


def _rows(output: Array, fed: Fed) -> Array:
    """Without the rows that only fill a fixed batch; an output whose first axis is not the batch stays whole."""
    filled = len(next(iter(fed.feeds.values())))
    return output[: fed.rows] if output.ndim and output.shape[0] == filled else output


def _has_classes(output: Array, fed: Fed) -> bool:
    return output.ndim in _CLASS_RANKS and output.shape[0] == fed.rows and output.shape[-1] > 1


def _fitting_labels(labels: Array, output: Array) -> Array:
    if labels.shape != output.shape[:-1]:
        detail = (
            f"A sample's labels have shape {list(labels.shape[1:])}; the model predicts {list(output.shape[1:-1])}."
        )
        raise refuse("labels_length_mismatch", detail, entry="labels")
    largest = int(labels.max())
    if largest >= output.shape[-1]:
        detail = f"The label {largest} does not exist: the model has classes 0 to {output.shape[-1] - 1}."
        raise refuse("labels_invalid", detail, entry="labels")
    return labels
