from typing import Any

import httpx2
import lowbit
import pytest
from lowbit import errors
from lowbit.problem import Problem
from lowbit.wire import problem_error

REJECTION: dict[str, Any] = {
    "type": "/problems/calibration_shape_mismatch",
    "title": "The data's shape does not fit the model",
    "status": 422,
    "detail": "Input 'x' wants [batch, 4]; column 'x' is [10, 5].",
    "code": "calibration_shape_mismatch",
    "errors": [{"pointer": "/calibration_dataset_id", "entry": "x", "detail": "5 is not 4"}],
    "hint": "Transpose the array.",
    "request_id": "req_1",
}


def answer(status: int, **kwargs: Any) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "http://service.test/v1/jobs"), **kwargs)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ValidationProblem),
        (401, errors.AuthenticationProblem),
        (403, errors.AuthenticationProblem),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (411, errors.ValidationProblem),
        (413, errors.ValidationProblem),
        (415, errors.ValidationProblem),
        (422, errors.ValidationProblem),
        (429, errors.RateLimited),
        (418, errors.ProblemError),
        (500, errors.ProblemError),
        (507, errors.ProblemError),
    ],
)
def test_each_status_has_the_error_that_fits_what_a_caller_would_do(
    status: int, kind: type[errors.ProblemError]
) -> None:
    error = problem_error(answer(status, json={**REJECTION, "status": status}))
    assert type(error) is kind
    assert error.status == status


def test_an_error_carries_every_fact_of_the_problem() -> None:
    error = problem_error(answer(422, json=REJECTION))
    assert (error.code, error.hint, error.request_id) == (
        "calibration_shape_mismatch",
        "Transpose the array.",
        "req_1",
    )
    assert error.errors[0].pointer == "/calibration_dataset_id"
    assert error.problem.raw["type"] == "/problems/calibration_shape_mismatch"


def test_the_message_has_title_detail_place_hint_and_request_id() -> None:
    assert str(problem_error(answer(422, json=REJECTION))).splitlines() == [
        "The data's shape does not fit the model",
        "Input 'x' wants [batch, 4]; column 'x' is [10, 5].",
        "  /calibration_dataset_id: 5 is not 4",
        "Hint: Transpose the array.",
        "Request id: req_1",
    ]


def test_a_place_is_named_without_repeating_what_was_said() -> None:
    item = {"pointer": "/a", "detail": "Input x is missing."}
    pointed = {"title": "Bad", "detail": "Input x is missing.", "errors": [item]}
    assert Problem.parse(pointed).explain() == "Bad\nInput x is missing.\n  at /a"
    told = {"title": "Bad", "detail": "/a: no such field.", "errors": [{"pointer": "/a", "detail": "no such field"}]}
    assert Problem.parse(told).explain() == "Bad\n/a: no such field."


def test_what_a_proxy_answers_becomes_a_problem_too() -> None:
    error = problem_error(answer(502, text="<html>Bad gateway</html>", headers={"X-Request-Id": "req_2"}))
    assert (error.code, error.status, error.title) == ("http_502", 502, "HTTP 502 Bad Gateway")
    assert error.request_id == "req_2"


@pytest.mark.parametrize("body", [b"[]", b"null", b"\xff\xfe", b""])
def test_a_body_that_is_no_object_is_no_reason_to_crash(body: bytes) -> None:
    assert problem_error(answer(500, content=body)).code == "http_500"


def test_a_rate_limit_says_how_long_to_pause() -> None:
    error = problem_error(answer(429, json=REJECTION | {"status": 429}, headers={"Retry-After": "7"}))
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after_seconds == 7.0


def test_odd_members_of_a_problem_are_read_leniently() -> None:
    problem = Problem.parse({"errors": "many", "status": "bad", "detail": None, "hint": ""}, status=400)
    assert problem == Problem(code="http_400", status=400, title="http_400", detail="", raw=problem.raw)


def test_every_error_of_the_tree_is_exported_and_drawn() -> None:
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.LowbitError) and name != "JobError"
    }
    assert tree <= set(lowbit.__all__)
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in tree)


def test_the_exported_names_are_these() -> None:
    assert lowbit.__all__ == [
        "AuthenticationProblem",
        "Client",
        "Conflict",
        "DigestMismatch",
        "Job",
        "JobFailed",
        "JobNotFinished",
        "LowbitError",
        "NoConnection",
        "NotFound",
        "ObjectiveUnmet",
        "ProblemError",
        "RateLimited",
        "UnsuitableSource",
        "ValidationProblem",
        "WaitTimeout",
    ]
    assert all(getattr(lowbit, name).__name__ == name for name in lowbit.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = lowbit.nothing_of_the_kind
