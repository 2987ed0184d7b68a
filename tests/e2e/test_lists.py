"""Lists, page by page, and the conditions on a single job."""

import time

import httpx2

from tests.e2e import tiny
from tests.e2e.conversation import finished, is_problem, job_body, resource, upload


def test_pages_follow_each_other_without_gap_or_repeat(http: httpx2.Client) -> None:
    made = [http.post("/v1/datasets", json={"file_id": _file(http)}).json()["id"] for _ in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = http.get("/v1/datasets", params={"limit": 2, **({"after": after} if after else {})}).json()
        assert page["object"] == "list"
        ids = [row["id"] for row in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        seen += ids
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert seen[:5] == made[::-1]
    assert len(set(seen)) == len(seen)


def test_a_job_that_has_ended_can_be_deleted_and_its_model_with_it(http: httpx2.Client) -> None:
    model_id = resource(http, tiny.model_bytes(), "models")["id"]
    job = http.post("/v1/jobs", json=job_body(http, model_id=model_id, recipe={"preset": "int8-fast"})).json()
    refused = http.delete(f"/v1/jobs/{job['id']}")
    assert is_problem(refused, 409, "invalid_state_transition")["hint"]
    assert finished(http, job["id"])["status"] == "succeeded"
    artifact = http.get(job["links"]["artifacts"]).json()["data"][0]
    assert http.delete(f"/v1/models/{job['model_id']}").status_code == 409
    assert http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    for gone in (job["links"]["self"], job["links"]["events"], artifact["links"]["content"]):
        is_problem(http.get(gone), 404, "not_found")
    is_problem(http.delete(f"/v1/jobs/{job['id']}"), 404, "not_found")
    assert http.delete(f"/v1/models/{job['model_id']}").status_code == 204


def test_jobs_can_be_listed_by_status_and_inspections_are_not_among_them(http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json=job_body(http)).json()
    http.post(f"/v1/jobs/{job['id']}/cancel")
    listed = http.get("/v1/jobs", params={"limit": 200}).json()["data"]
    assert {row["kind"] for row in listed} == {"quantize"}
    assert job["id"] in [row["id"] for row in listed]
    for row in http.get("/v1/jobs", params={"status": "succeeded"}).json()["data"]:
        assert row["status"] == "succeeded"


def test_a_wait_ends_as_soon_as_the_job_changes_and_not_before(http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json=job_body(http, benchmark={"batch_sizes": [1], "duration_s": 60.0}))
    address, known, stages = job.headers["Location"], job.headers["ETag"], []
    for _ in range(200):
        answer = http.get(address, headers={"Prefer": "wait=30", "If-None-Match": known})
        assert answer.status_code == 200
        assert answer.headers["Preference-Applied"] == "wait=30"
        assert answer.headers["ETag"] != known
        known = answer.headers["ETag"]
        stages.append(answer.json()["stage"])
        if answer.json()["done"]:
            break
        if stages[-1] == "benchmark":  # a minute of it; the other stages may be over between two looks
            http.post(f"{address}/cancel")
    assert answer.json()["status"] == "cancelled"
    assert "benchmark" in stages
    assert len(stages) > 2
    started = time.monotonic()
    assert http.get(address, headers={"If-None-Match": known}).status_code == 304
    assert http.get(address, headers={"Prefer": "wait=30", "If-None-Match": known}).status_code == 304
    assert time.monotonic() - started < 10  # a finished job has nothing to wait for


def test_names_may_be_anything_that_can_be_printed(http: httpx2.Client) -> None:
    for name in ("Größe 8 × 8 🙂", "<script>alert(1)</script>", "{{7*7}}", "'; DROP TABLE jobs; --", "%s%n"):
        file = _file(http)
        made = http.post("/v1/datasets", json={"file_id": file, "name": name})
        assert made.status_code == 201
        assert http.get(made.headers["Location"]).json()["name"] == name


def _file(http: httpx2.Client) -> str:
    return str(upload(http, tiny.calibration_bytes(3), "dataset").json()["id"])


def test_a_model_knows_its_file(http: httpx2.Client) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    assert http.get(model["links"]["file"]).json()["sha256"] == model["sha256"]
