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


def labelled(shape: Any, values: Any = (0, 1), *, rows: int = 7, one_hot: bool = False, dtype: str = "int64") -> Any:
    return data(
        ("x", "float32", (rows, 4)), ("labels", dtype, (rows, *shape), values), has_labels=True, labels_one_hot=one_hot
    )


def scoring(*shape: Any) -> Any:
    return model(X, outputs=[("scores", "float32", ("n", *shape))])


@pytest.mark.parametrize(
    ("output", "dataset"),
    [
        ((2,), labelled(())),
        ((2,), labelled((1,))),  # a column
        ((2,), labelled((2,), one_hot=True)),
        ((2,), labelled((2,), one_hot=True, dtype="float64")),
        (("classes",), labelled((9,), one_hot=True)),
        ((6, 2), labelled((6,))),
        ((6, 2), labelled((6, 1))),
        ((6, 2), labelled((6, 2), one_hot=True)),
        ((6, 2), labelled((6,), one_hot=True)),  # one position of each row is of class 1
        (("t", 2), labelled((6,))),
        ((1,), labelled((3,), (0, 99))),  # a single score is no choice between classes
        ((2, 8, 8), labelled((), (0, 99))),
    ],
)
def test_labels_have_one_class_for_each_prediction(output: Any, dataset: Any) -> None:
    assert check_labels(scoring(*output), dataset) is None


@pytest.mark.parametrize(
    ("output", "dataset", "code", "told"),
    [
        ((2,), labelled((2,)), "labels_invalid", "several classes, or none"),
        ((2,), labelled((3,), one_hot=True), "labels_invalid", "one of 3 classes in each row; the model has 2"),
        ((2,), labelled((3,)), "labels_length_mismatch", "predicts one class"),
        ((2,), labelled((1,), (0, 2)), "labels_invalid", "label 2 does not exist"),
        ((2,), labelled((), (1, 2)), "labels_invalid", "1 to 2; the model has classes 0 to 1"),
        ((6, 2), labelled(()), "labels_length_mismatch", "classes of shape [6]"),
        ((6, 2), labelled((5,)), "labels_length_mismatch", "classes of shape [6]"),
    ],
)
def test_labels_that_the_model_cannot_predict_are_refused(output: Any, dataset: Any, code: str, told: str) -> None:
    found = check_labels(scoring(*output), dataset)
    assert found is not None
    assert found.code == code
    assert told in found.detail
    assert found.errors[0].entry == "labels"


def test_labels_that_seem_to_count_from_one_come_with_the_remedy() -> None:
    found = check_labels(scoring(4), labelled((), (1, 4)))
    assert found is not None
    assert "labels - 1" in (found.hint or "")


@pytest.mark.parametrize(
    ("output", "labels", "fits"),
    [
        ((1, 5), (), True),
        ((1, 5), (1,), True),
        ((5,), (), True),
        ((20, 1, 5), (20,), True),
        ((20, 1, 5), (20, 1), True),
        ((20, 1, 5), (), False),
        (("time", 1, 5), (), True),  # known when the model is run
        ((20, 3, 5), (), True),  # only its noise is measured
    ],
)
def test_labels_of_whole_samples_have_the_shape_of_one_answer(output: Any, labels: Any, fits: bool) -> None:
    wanted = model(("x", "float32", (20, 1, 12)), outputs=[("y", "float32", output)])
    given = data(("x", "float32", (7, 20, 1, 12)), ("labels", "int64", (7, *labels), (0, 4)), has_labels=True)
    assert (check_labels(wanted, given) is None) == fits
