"""Counts of one candidate, by hand."""

import numpy as np
import pytest

from app.contracts.problem import ProblemFound
from workers.pipeline.evaluation.tally import TopOneTally

# classes of the float model: 0, 1, 2, 0; of the candidate: 0, 2, 2, 1
FLOAT = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32)
CANDIDATE = np.array([[9, 0, 0], [0, 0, 9], [0, 0, 9], [0, 9, 0]], np.float32)


def test_without_labels_only_agreement_and_noise_are_counted() -> None:
    tally = TopOneTally()
    tally.observe(FLOAT, CANDIDATE, None, samples=4)
    assert (tally.samples, tally.predictions, tally.agreeing) == (4, 4, 2)
    assert (tally.labelled, tally.float_correct, tally.correct, tally.gained, tally.lost) == (0, 0, 0, 0, 0)
    # four nines: 4 * 81; two answers differ in two places by 9 each: 2 * 2 * 81
    assert (tally.sqnr.signal, tally.sqnr.noise) == (324.0, 324.0)
    assert tally.sqnr.db() == 0.0


def test_gained_and_lost_are_told_apart_though_they_cancel_out() -> None:
    tally = TopOneTally()
    # float is right on 0 and 1; the candidate on 0 and 3: one lost, one gained
    tally.observe(FLOAT, CANDIDATE, np.array([0, 1, 0, 1]), samples=4)
    assert (tally.labelled, tally.float_correct, tally.correct) == (4, 2, 2)
    assert (tally.gained, tally.lost) == (1, 1)
    assert tally.correct - tally.float_correct == tally.gained - tally.lost


def test_every_position_of_a_token_model_is_a_prediction() -> None:
    tally = TopOneTally()
    # [2 samples, 2 positions, 3 classes]
    labels = np.array([[0, 2], [2, 0]])
    tally.observe(FLOAT.reshape(2, 2, 3), CANDIDATE.reshape(2, 2, 3), labels, samples=2)
    assert (tally.samples, tally.predictions, tally.labelled) == (2, 4, 4)
    # float: 0 ok, 1 for 2, 2 ok, 0 ok; the candidate: 0 ok, 2 ok, 2 ok, 1 for 0
    assert (tally.float_correct, tally.correct, tally.gained, tally.lost) == (3, 3, 1, 1)


def test_counts_of_two_slices_add_up_to_those_of_the_whole() -> None:
    whole, parts = TopOneTally(), TopOneTally()
    labels = np.array([0, 1, 0, 1])
    whole.observe(FLOAT, CANDIDATE, labels, samples=4)
    for part in (slice(0, 1), slice(1, 4)):
        parts.observe(FLOAT[part], CANDIDATE[part], labels[part], samples=part.stop - part.start)
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
    tally = TopOneTally()
    tally.observe(np.ones(shape), np.ones(shape), np.zeros(4, np.int64), samples=4)
    assert (tally.samples, tally.predictions, tally.labelled) == (4, 0, 0)
    assert tally.sqnr.db() is None


def test_labels_of_other_lengths_and_classes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ProblemFound) as mismatch:
        TopOneTally().observe(FLOAT, CANDIDATE, np.zeros((4, 2), np.int64), samples=4)
    assert mismatch.value.problem.code == "labels_length_mismatch"
    assert "shape [2]; the model predicts []" in mismatch.value.problem.detail
    with pytest.raises(ProblemFound) as unknown:
        TopOneTally().observe(FLOAT, CANDIDATE, np.array([0, 1, 2, 3]), samples=4)
    assert unknown.value.problem.code == "labels_invalid"
    assert "label 3 does not exist: the model has classes 0 to 2" in unknown.value.problem.detail
