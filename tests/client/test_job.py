from typing import Any

import httpx2
import pytest
from lowbit import Client, Job, JobFailed, JobNotFinished, ObjectiveUnmet, ProblemError, WaitTimeout

from tests.client.jobs_on_paper import job, result
from tests.client.layers_on_paper import layer

RUNNING = {"status": "running", "done": False, "stage": "calibrate", "result": None}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowbit.patience.time.sleep", lambda _: None)


def client_that_meets(*answers: httpx2.Response) -> tuple[Client, list[httpx2.Request]]:
    seen: list[httpx2.Request] = []
    remaining = iter(answers)

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return next(remaining)

    return Client("http://service.test", "key", transport=httpx2.MockTransport(respond)), seen


def state(etag: str, **changes: Any) -> httpx2.Response:
    return httpx2.Response(200, json=job(**changes).data, headers={"ETag": etag})


def test_waiting_asks_for_news_by_the_last_etag_and_shows_each_state() -> None:
    client, seen = client_that_meets(state('"1"', **RUNNING), httpx2.Response(304), state('"2"'))
    shown: list[str] = []
    done = client.jobs.get("job_1").wait(on_update=lambda job: shown.append(job.status))
    assert done.status == "succeeded"
    assert shown == ["running", "running", "succeeded"]
    assert [request.headers.get("If-None-Match") for request in seen] == [None, '"1"', '"1"']
    assert [request.headers.get("Prefer") for request in seen] == [None, "wait=30", "wait=30"]


def test_a_new_job_is_looked_at_once_before_waiting_for_news_of_it() -> None:
    created = httpx2.Response(202, json=job(**RUNNING).data)
    client, seen = client_that_meets(created, state('"1"', **RUNNING), state('"2"'))
    client.jobs.create({"model_id": "mdl_1", "calibration_dataset_id": "ds_1"}).wait()
    assert [request.headers.get("Prefer") for request in seen] == [None, None, "wait=30"]


def test_waiting_ends_at_the_limit_and_leaves_the_job_alone() -> None:
    client, seen = client_that_meets(state('"1"', **RUNNING))
    with pytest.raises(WaitTimeout, match="job_1 is still running"):
        client.jobs.wait("job_1", timeout=0)
    assert [request.method for request in seen] == ["GET"]


def test_a_failed_job_raises_its_problem() -> None:
    problem = {"code": "out_of_memory", "title": "The job needed more memory than it may use", "status": 507}
    client, _ = client_that_meets(state('"1"', status="failed", result=None, error=problem))
    with pytest.raises(JobFailed, match="more memory") as failure:
        client.jobs.wait("job_1")
    assert failure.value.problem is not None
    assert failure.value.problem.code == "out_of_memory"
    assert failure.value.job.status == "failed"


def test_a_cancelled_job_is_no_success() -> None:
    with pytest.raises(JobFailed, match="job_1 was cancelled"):
        job(status="cancelled", result=None).wait()


def test_an_unmet_objective_is_an_error_only_when_asked() -> None:
    unmet = job(result=result(outcome="objective_unmet", verdict="Loses 3 points."))
    assert unmet.wait() is unmet
    with pytest.raises(ObjectiveUnmet, match=r"Loses 3 points\."):
        unmet.raise_for_objective()
    assert job().raise_for_objective().status == "succeeded"


@pytest.mark.parametrize(
    ("unfinished", "error"),
    [(job(**RUNNING), JobNotFinished), (job(status="failed", result=None), JobFailed)],
)
def test_a_job_without_a_result_has_no_files(unfinished: Job, error: type[Exception], tmp_path: Any) -> None:
    with pytest.raises(error):
        unfinished.download(tmp_path)
    with pytest.raises(error):
        unfinished.layers()


def test_layers_are_those_of_the_best_variant_or_of_the_one_that_is_named() -> None:
    found = [layer("b"), layer("a")]
    listed = httpx2.Response(200, json={"object": "list", "variant_id": "var_1", "data": found, "has_more": False})
    client, seen = client_that_meets(state('"1"'), listed, listed)
    assert client.layers("job_1") == found
    assert client.layers("var_7") == found
    assert [request.url.path for request in seen] == [
        "/v1/jobs/job_1",
        "/v1/variants/var_1/layers",
        "/v1/variants/var_7/layers",
    ]


def test_a_rejected_model_raises_the_problem_that_it_carries() -> None:
    problem = {
        "code": "onnx_parse_error",
        "title": "The file is not a whole ONNX model",
        "status": 422,
        "hint": "Compare.",
    }
    model = {"id": "mdl_1", "status": "rejected", "problem": problem}
    client, seen = client_that_meets(
        httpx2.Response(200, json={"id": "mdl_1", "status": "inspecting"}), httpx2.Response(200, json=model)
    )
    with pytest.raises(ProblemError, match="not a whole ONNX model") as rejection:
        client.models.wait("mdl_1")
    assert rejection.value.code == "onnx_parse_error"
    assert seen[1].headers["Prefer"] == "wait=30"


def test_an_inspection_that_never_ends_is_left() -> None:
    client, _ = client_that_meets(httpx2.Response(200, json={"id": "ds_1", "status": "inspecting"}))
    with pytest.raises(WaitTimeout, match="ds_1"):
        client.datasets.wait("ds_1", timeout=0)
