"""Counts of one candidate, by hand."""

import numpy as np
import pytest

from app.contracts.problem import ProblemFound
from workers.pipeline.evaluation.tally import OutputTally, TopOneTally

# classes of the float model: 0, 1, 2, 0; of the candidate: 0, 2, 2, 1
FLOAT = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32)
CANDIDATE = np.array([[9, 0, 0], [0, 0, 9], [0, 0, 9], [0, 9, 0]], np.float32)


def test_without_labels_only_agreement_and_noise_are_counted() -> None:
    tally = TopOneTally("y")
    tally.observe({"y": FLOAT}, {"y": CANDIDATE}, None, samples=4)
    assert (tally.samples, tally.predictions, tally.agreeing) == (4, 4, 2)
    assert (tally.labelled, tally.float_correct, tally.correct, tally.gained, tally.lost) == (0, 0, 0, 0, 0)
    # four nines: 4 * 81; two answers differ in two places by 9 each: 2 * 2 * 81
    assert (tally.sqnr.signal, tally.sqnr.noise) == (324.0, 324.0)
    assert tally.sqnr.db() == 0.0


def test_gained_and_lost_are_told_apart_though_they_cancel_out() -> None:
    tally = TopOneTally("y")
    # float is right on 0 and 1; the candidate on 0 and 3: one lost, one gained
    tally.observe({"y": FLOAT}, {"y": CANDIDATE}, np.array([0, 1, 0, 1]), samples=4)
    assert (tally.labelled, tally.float_correct, tally.correct) == (4, 2, 2)
    assert (tally.gained, tally.lost) == (1, 1)
    assert tally.correct - tally.float_correct == tally.gained - tally.lost


def test_every_position_of_a_token_model_is_a_prediction() -> None:
    tally = TopOneTally("y")
    # [2 samples, 2 positions, 3 classes]
    labels = np.array([[0, 2], [2, 0]])
    tally.observe({"y": FLOAT.reshape(2, 2, 3)}, {"y": CANDIDATE.reshape(2, 2, 3)}, labels, samples=2)
    assert (tally.samples, tally.predictions, tally.labelled) == (2, 4, 4)
    # float: 0 ok, 1 for 2, 2 ok, 0 ok; the candidate: 0 ok, 2 ok, 2 ok, 1 for 0
    assert (tally.float_correct, tally.correct, tally.gained, tally.lost) == (3, 3, 1, 1)


def test_counts_of_two_slices_add_up_to_those_of_the_whole() -> None:
    whole, parts = TopOneTally("y"), TopOneTally("y")
    labels = np.array([0, 1, 0, 1])
    whole.observe({"y": FLOAT}, {"y": CANDIDATE}, labels, samples=4)
    for part in (slice(0, 1), slice(1, 4)):
        parts.observe({"y": FLOAT[part]}, {"y": CANDIDATE[part]}, labels[part], samples=part.stop - part.start)
    assert parts == whole


@pytest.mark.parametrize(
    "shape",
    [
        (4,),  # no axis of classes
        (4, 1),  # a single number for each sample is no choice
        (2, 6),  # the first axis is not the samples
        (4, 1, 1, 3),  # feature maps
    ],
)
def test_an_output_without_classes_is_compared_by_its_noise_alone(shape: tuple[int, ...]) -> None:
    tally = TopOneTally("y")
    tally.observe({"y": np.ones(shape)}, {"y": np.ones(shape)}, np.zeros(4, np.int64), samples=4)
    assert (tally.samples, tally.predictions, tally.labelled) == (4, 0, 0)
    assert tally.sqnr.db() is None


def test_labels_of_other_lengths_and_classes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ProblemFound) as mismatch:
        TopOneTally("y").observe({"y": FLOAT}, {"y": CANDIDATE}, np.zeros((4, 2), np.int64), samples=4)
    assert mismatch.value.problem.code == "labels_length_mismatch"
    assert "shape [2]; the model predicts []" in mismatch.value.problem.detail
    with pytest.raises(ProblemFound) as unknown:
        TopOneTally("y").observe({"y": FLOAT}, {"y": CANDIDATE}, np.array([0, 1, 2, 3]), samples=4)
    assert unknown.value.problem.code == "labels_invalid"
    assert "label 3 does not exist: the model has classes 0 to 2" in unknown.value.problem.detail


def test_rows_of_numbers_are_predictions_only_where_labels_say_so() -> None:
    boxes = np.random.default_rng(0).normal(size=(4, 7, 5))
    without, labelled = TopOneTally("y"), TopOneTally("y")
    without.observe({"y": boxes}, {"y": boxes}, None, samples=4)
    labelled.observe({"y": boxes}, {"y": boxes}, np.zeros((4, 7), np.int64), samples=4)
    assert (without.predictions, labelled.predictions) == (0, 28)


def test_every_output_has_figures_of_its_own() -> None:
    tally = TopOneTally("y")
    other = np.array([1.0, 2.0, 2.0, 4.0], np.float32)
    tally.observe({"y": FLOAT, "z": other}, {"y": FLOAT, "z": other * 1.1}, None, samples=4)
    assert list(tally.outputs) == ["y", "z"]
    assert tally.outputs["y"].sqnr.db() is None
    assert tally.outputs["z"].sqnr.db() == pytest.approx(20.0, abs=1e-4)


def test_what_is_not_finite_is_counted_on_both_sides() -> None:
    tally = TopOneTally("y")
    expected = np.array([[1.0, np.nan, 3.0, -np.inf], [1.0, 2.0, 3.0, 4.0]], np.float32)
    actual = np.array([[1.0, 0.0, np.nan, -np.inf], [1.0, 2.0, np.inf, 4.0]], np.float32)
    tally.observe({"y": expected}, {"y": actual}, None, samples=2)
    counted = tally.outputs["y"]
    assert (counted.values, counted.nonfinite, counted.lost) == (8, 2, 2)
    assert counted.sqnr.db() == -200.0


def test_a_row_that_the_float_model_does_not_answer_is_no_prediction() -> None:
    tally = TopOneTally("y")
    expected = np.array([[np.nan] * 3, [1.0, np.nan, 0.0], [-np.inf, 1.0, 0.0], [3.0, 1.0, 0.0]], np.float32)
    tally.observe({"y": expected}, {"y": expected}, None, samples=4)
    # a class that is masked out is an answer, one that is no number is none
    assert (tally.predictions, tally.agreeing) == (2, 2)


def test_answers_of_another_shape_are_counted_and_not_compared() -> None:
    tally = TopOneTally("y")
    tally.observe({"y": np.ones((14, 4))}, {"y": np.ones((15, 4))}, None, samples=2)
    tally.observe({"y": np.ones((3, 4))}, {"y": np.ones((3, 4))}, None, samples=3)
    counted = tally.outputs["y"]
    assert (tally.samples, counted.misshapen, counted.is_compared) == (5, 2, False)


def test_what_one_channel_loses_is_told_beside_the_whole() -> None:
    rng = np.random.default_rng(0)
    expected = np.concatenate([rng.normal(size=(4, 2, 64)) * 300, rng.uniform(size=(4, 1, 64))], axis=1)
    actual = expected.copy()
    actual[:, 2] += 0.1 * np.sqrt(np.mean(np.square(expected[:, 2])))
    actual[:, 0] += 0.1
    counted = OutputTally()
    assert counted.observe(expected, actual, samples=4)
    assert counted.channels.worst_db() == pytest.approx(20.0, abs=0.01)
    assert (counted.sqnr.db() or 0.0) > 60.0
