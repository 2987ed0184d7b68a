"""What a job may not name yet, and texts that it may only keep as they are. No worker is there."""

import json

import httpx2
import pytest

from tests.app.contracts.inspections import data, model
from tests.app.jobs.conftest import Ready
from tests.e2e.conversation import is_problem, upload
from tests.hostile_texts import HOSTILE_TEXTS

READER = model(("input_ids", "int64", ("n", "t")), outputs=[("logits", "float32", ("n", 2))])
NUMBERS = data(("input_ids", "int64", (99, 8)))


def test_what_is_still_being_inspected_is_not_ready(http: httpx2.Client, ready: Ready) -> None:
    """No worker is there, so it stays so."""
    waiting = {
        kind: http.post(f"/v1/{kind}s", json={"file_id": upload(http, content, kind).json()["id"]}).json()["id"]
        for kind, content in (("model", b"\x08\x09" + bytes(20)), ("dataset", b"text,label\na,1\n"))
    }
    fine = {"model_id": ready(READER), "calibration_dataset_id": ready(NUMBERS)}
    for field, kind in (("model_id", "model"), ("calibration_dataset_id", "dataset")):
        found = is_problem(http.post("/v1/jobs", json={**fine, field: waiting[kind]}), 409, f"{kind}_not_ready")
        assert found["errors"][0]["pointer"] == f"/{field}"
        assert (found["retryable"], bool(found["hint"])) == (True, True)


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text)[:20])
def test_every_text_of_a_job_is_kept_as_it_is_or_refused(http: httpx2.Client, ready: Ready, text: str) -> None:
    body = {"model_id": ready(READER), "calibration_dataset_id": ready(NUMBERS)}
    nodes = {"nodes_to_exclude": [text], "op_types_to_exclude": [text]}
    for field, value in (("name", text), ("labels", {text[:50]: text}), ("recipe", nodes)):
        content = json.dumps({**body, field: value})  # as ASCII, so that what UTF-8 cannot say arrives as well
        answer = http.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in {202, 400, 422}, answer.text
        if answer.status_code != 202:
            is_problem(answer, answer.status_code, answer.json()["code"])
            assert len(answer.content) < 4000
            continue
        job = answer.json()
        assert field == "recipe" or job[field] == value
        assert http.get(answer.headers["Location"]).json()[field] == job[field]
        http.post(f"/v1/jobs/{job['id']}/cancel")
