from typing import Any

import pytest

from app.contracts.fit_labels import check_labels, number_of_classes
from app.contracts.preparation import ImagePreparation, TextPreparation
from tests.app.contracts.inspections import data, model

X = ("x", "float32", ("n", 4))
TWO = model(X, outputs=[("scores", "float32", ("n", 2))], classes=("bad", "good"))
LABELS = ("labels", "int64", (7,))


@pytest.mark.parametrize(
    ("outputs", "classes"),
    [
        ([("y", "float32", ("n", 5))], 5),
        ([("y", "bfloat16", ("n", "tokens", 9))], 9),
        ([("ids", "int64", ("n", 3)), ("y", "float32", ("n", 5)), ("z", "float32", ("n", 7))], 5),
        ([("y", "float32", ("n", "classes"))], None),
        ([("y", "float32", ("n", 1))], None),  # a score, no classes
        ([("y", "float32", ("n", 5, 8, 8))], None),
        ([("ids", "int64", ("n", 3))], None),
    ],
)
def test_classes_are_counted_in_the_output_that_is_scored(outputs: Any, classes: int | None) -> None:
    assert number_of_classes(model(X, outputs=outputs)) == classes


@pytest.mark.parametrize(
    ("dataset", "fits"),
    [
        (data((*LABELS, (0, 1)), has_labels=True), True),
        (data((*LABELS, (0, 2)), has_labels=True), False),
        (data((*LABELS, None), has_labels=True), True),  # an empty column
        (data(("stars", "int64", (7,), (0, 2)), has_labels=False), True),  # nobody said that these are labels
        (data(("stars", "int64", (7,), (0, 2)), has_labels=True, preparation=TextPreparation(label="stars")), False),
        (data(("stars", "string", (7,)), has_labels=True, preparation=TextPreparation(label="stars")), True),
        (data(("t", "string", (7,)), has_labels=True, preparation=TextPreparation(classes=("a", "b"))), True),
        (data(("t", "string", (7,)), has_labels=True, preparation=TextPreparation(classes=("a", "b", "c"))), False),
        (data((*LABELS, (0, 2)), has_labels=True, preparation=ImagePreparation(height=1, width=1)), False),
    ],
)
def test_labels_are_classes_of_the_model(dataset: Any, fits: bool) -> None:
    found = check_labels(TWO, dataset)
    assert (found is None) == fits
    if found is not None:
        assert (found.code, found.hint) == ("labels_invalid", "The model's classes: bad, good.")


def test_an_input_called_labels_is_an_input() -> None:
    of = model(X, ("labels", "int64", ("n",)), outputs=[("scores", "float32", ("n", 2))])
    assert check_labels(of, data((*LABELS, (0, 9)), has_labels=True)) is None
