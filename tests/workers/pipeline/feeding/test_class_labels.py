from typing import Any

import numpy as np
import pytest

from app.contracts.problem import ProblemFound
from workers.pipeline.feeding.class_labels import class_labels, holds_classes

CLASSES = np.array([2, 0, 1, 2])
ANSWER = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64])
@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], np.eye(3)[CLASSES]])
def test_integers_a_column_and_one_hot_rows_are_the_same_classes(labels: Any, dtype: Any) -> None:
    assert class_labels(labels.astype(dtype), ANSWER).tolist() == CLASSES.tolist()


def test_one_hot_rows_may_be_floats_or_booleans() -> None:
    for dtype in (np.float32, bool):
        assert class_labels(np.eye(3, dtype=dtype)[CLASSES], ANSWER).tolist() == CLASSES.tolist()


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1)])
def test_each_position_has_a_class(shape: Any) -> None:
    assert class_labels(CLASSES.reshape(shape), ANSWER.reshape(2, 2, 3)).tolist() == [[2, 0], [1, 2]]


def test_as_many_positions_as_classes_are_positions() -> None:
    labels = np.array([[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(class_labels(labels, np.zeros((2, 3, 5))), labels)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (np.array([0, 1, 2, 3]), "labels_invalid"),
        (np.array([0, 1, 2, -1]), "labels_invalid"),
        (np.array([0.0, 1.0, 2.0, 0.5]), "labels_invalid"),
        (np.ones((4, 3), int), "labels_invalid"),
        (np.zeros((4, 3), int), "labels_invalid"),
        (np.zeros((4, 2), int), "labels_length_mismatch"),
        (np.zeros(3, int), "labels_length_mismatch"),
    ],
)
def test_what_is_no_class_of_the_model_is_refused(labels: Any, code: str) -> None:
    with pytest.raises(ProblemFound) as found:
        class_labels(labels, ANSWER)
    assert found.value.problem.code == code


@pytest.mark.parametrize(
    ("shape", "holds"), [((4, 3), True), ((4, 2, 3), True), ((4, 1), False), ((2, 6), False), ((4, 1, 1, 3), False)]
)
def test_classes_are_on_the_last_axis_of_two_or_three(shape: Any, holds: bool) -> None:
    assert holds_classes(np.zeros(shape), samples=4) == holds
