"""Which axis counts samples: rows of the model's first axis, or whole inputs one after the other."""

from typing import Any

import pytest

from app.contracts.fit import check_fit
from app.contracts.fit_columns import stored_convention
from tests.app.contracts.inspections import data, model

F = "float32"
Y = [("y", F, (1, 5))]


def columns(**shapes: Any) -> Any:
    return data(*((name, F, shape) for name, shape in shapes.items()))


def inputs(outputs: Any = Y, time_first: Any = (), **shapes: Any) -> Any:
    return model(*((name, F, shape) for name, shape in shapes.items()), outputs=outputs, time_first=time_first)


def refused(wanted: Any, given: Any) -> Any:
    found = check_fit(wanted, given)
    assert found is not None
    assert found.code == "calibration_shape_mismatch"
    return found


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"x": (20, 1, 12)}, {"x": (48, 20, 1, 12)}),
        ({"x": ("time", 1, 12)}, {"x": (48, 20, 1, 12)}),
        ({"x": ("time", "batch", 12)}, {"x": (48, 20, 1, 12)}),
        ({"x": (12,)}, {"x": (48, 12)}),
        # the state has its batch on another axis
        ({"x": ("time", "batch", 12), "h": (1, "batch", 24)}, {"x": (48, 20, 1, 12), "h": (48, 1, 1, 24)}),
        ({"x": (20, 1, 12), "scale": ()}, {"x": (48, 20, 1, 12), "scale": (48,)}),
    ],
)
def test_with_an_axis_more_each_sample_is_a_whole_input(wanted: Any, given: Any) -> None:
    assert stored_convention(inputs(**wanted, time_first=("x",)), columns(**given)) == "whole"


@pytest.mark.parametrize(
    ("wanted", "given", "outputs"),
    [
        ({"x": ("n", 12)}, {"x": (48, 12)}, [("y", F, ("n", 5))]),
        ({"x": (4, 12)}, {"x": (48, 12)}, [("y", F, (4, 5))]),
        ({"x": (4, 12)}, {"x": (48, 12)}, [("boxes", F, (84, 7))]),  # 21 of each
        ({"x": (4, 12)}, {"x": (48, 12)}, [("loss", F, ()), ("y", F, ("n", 5))]),
        ({"x": (4, 12)}, {"x": (48, 12)}, [("all", F, (1, 3)), ("y", F, (4, 5))]),
        ({"x": (1, 20, 12)}, {"x": (48, 20, 12)}, [("y", F, (1, 5))]),
        ({"x": ("n", 20, 12), "h": (1, "n", 24)}, {"x": (48, 20, 12), "h": (48, 1, 24)}, [("y", F, ("n", 5))]),
    ],
)
def test_rows_are_samples_where_the_first_axis_may_count_them(wanted: Any, given: Any, outputs: Any) -> None:
    assert stored_convention(inputs(outputs, **wanted), columns(**given)) == "rows"


def test_rows_are_no_samples_of_a_model_whose_answer_has_no_row_for_each() -> None:
    found = refused(inputs(x=(20, 1, 12)), columns(x=(960, 1, 12)))
    assert "The model has no axis for samples" in found.detail
    assert "[samples, 20, 1, 12]" in found.hint
    assert "array.reshape(-1, 20, 1, 12)" in found.hint


@pytest.mark.parametrize("steps", [20, "time"])
@pytest.mark.parametrize("outputs", [Y, [("y", F, (20, 1, 5))], [("y", F, ("time", 1, 5))]])
def test_rows_are_no_samples_where_the_first_axis_is_time(steps: Any, outputs: Any) -> None:
    found = refused(inputs(outputs, ("x",), x=(steps, 1, 12)), columns(x=(961, 1, 12)))
    assert "is time, not samples" in found.detail
    assert f"[samples, {steps}, 1, 12]" in found.hint
    assert "reshape" not in found.hint  # 961 rows are no number of samples of 20 steps


def test_sequences_of_one_step_are_rows() -> None:
    assert check_fit(inputs(time_first=("x",), x=(1, 1, 12)), columns(x=(48, 1, 12))) is None


@pytest.mark.parametrize("given", [(48, 20, 12), (48, 1, 20, 12), (48, 20, 12, 1)])
def test_a_whole_input_without_its_axes_of_one_element_is_told_how_to_get_them(given: Any) -> None:
    assert "array.reshape(-1, 20, 1, 12)" in refused(inputs(x=(20, 1, 12)), columns(x=given)).hint


def test_another_number_of_steps_is_told_what_a_sample_has_to_be() -> None:
    found = refused(inputs(x=(20, 1, 12)), columns(x=(48, 19, 1, 12)))
    assert "must be [samples, 20, 1, 12]" in found.hint


def test_all_inputs_are_stored_alike() -> None:
    found = refused(inputs(x=("time", 1, 12), h=(1, 1, 24)), columns(x=(48, 20, 1, 12), h=(48, 1, 24)))
    assert found.errors[0].entry == "h"
    assert "All inputs must be stored alike" in found.hint
    assert "[samples, 1, 1, 24]" in found.hint


def test_a_single_number_beside_rows_has_no_axis_of_samples() -> None:
    found = refused(inputs(x=("n", 12), scale=()), columns(x=(48, 12), scale=(48,)))
    assert found.errors[0].entry == "scale"
    assert "single number" in found.detail
    assert "[samples, n, 12]" in found.hint


def test_fixed_first_extents_that_differ_are_no_axis_of_samples() -> None:
    found = refused(inputs(x=(20, 4, 12), h=(2, 4, 24)), columns(x=(48, 4, 12), h=(48, 4, 24)))
    assert "20 in x and 2 in h" in found.detail
    assert "[samples, 20, 4, 12]" in found.hint


def test_inputs_have_as_many_samples_as_each_other() -> None:
    found = refused(inputs(a=("n", 2), b=("n", 2)), columns(a=(48, 2), b=(47, 2), c=(3,)))
    assert found.errors[0].entry == "b"
    assert found.detail == "It has 47 samples where a has 48."
    labelled = check_fit(inputs(a=("n", 2)), columns(a=(48, 2), labels=(47,)))
    assert labelled is not None
    assert labelled.code == "labels_length_mismatch"


def test_an_input_that_was_left_out_is_refused_with_the_reason() -> None:
    reason = {"name": "x", "code": "npz_pickle_not_allowed", "detail": "An array holds Python objects.", "hint": "h"}
    found = check_fit(inputs(x=("n", 2)), data(("meta", F, (3,)), left_out=[reason]))
    assert found is not None
    assert (found.code, found.detail, found.hint) == ("npz_pickle_not_allowed", reason["detail"], "h")
