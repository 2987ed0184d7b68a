"""One job seen from outside: by its webhook, its metrics, its log lines and its trace."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook as Verifier

from tests.e2e.conversation import finished, job_body
from tests.servers.service import running_service
from tests.servers.trace_collector import SeenSpan, running_collector
from tests.servers.webhook_receiver import running_receiver

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"X-Request-Id": "req-of-the-caller", "Traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}


def _until(condition: Callable[[], object], what: str, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _samples(page: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels."""
    families = text_string_to_metric_families(page)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_job_is_told_counted_logged_and_traced(tmp_path: Path) -> None:
    with running_collector() as collector, running_receiver(tmp_path) as receiver:
        environment = {
            **collector.environment(),
            "LOWBIT_WEBHOOKS_ENABLED": "true",
            "LOWBIT_WEBHOOK_ALLOW_PRIVATE": "true",
            "LOWBIT_WEBHOOK_CA_FILE": str(receiver.ca_file),
        }
        with running_service(environment=environment) as service, service.client() as http:
            secret = http.post("/v1/webhooks", json={"url": receiver.url()}).json()["secret"]
            assert _samples(http.get("/metrics").text)["lowbit_database_up",] == 1
            made = http.post("/v1/jobs", json=job_body(http), headers=CALLER)
            job = finished(http, made.json()["id"])
            assert job["status"] == "succeeded"

            _until(lambda: receiver.received, "the webhook was not called")
            event = Verifier(secret).verify(receiver.received[0].body, receiver.received[0].headers)
            assert (event["type"], event["data"]) == ("job.succeeded", job)

            assert http.get("/readyz").json()["status"] == "ok"
            counts = _samples(http.get("/metrics").text)
            assert counts["lowbit_jobs_finished_total", "quantize", "succeeded"] == 1
            assert counts["lowbit_workers", "cpu"] == counts["lowbit_workers", "inspect"] == 1
            durations = {stage["name"]: stage["duration_s"] for stage in job["stages"]}
            counted = counts["lowbit_job_stage_duration_seconds_sum", "quantize", "calibrate"]
            assert counted == durations["calibrate"]

            lines = [json.loads(line) for line in service.log("worker-cpu").splitlines() if line.startswith("{")]
            about = [line for line in lines if line.get("job_id") == job["id"]]
            assert {"claimed", "job succeeded"} <= {line["event"] for line in about}
            for line in about:
                assert (line["request_id"], line["trace_id"]) == ("req-of-the-caller", TRACE_ID)

            _until(lambda: {"POST /v1/jobs", "job quantize"} <= _spans_of_trace(collector.spans), "spans are missing")
    spans = {span.name: span for span in collector.spans if span.trace_id == TRACE_ID}
    assert spans["job quantize"].parent_id == spans["POST /v1/jobs"].span_id
    assert (spans["POST /v1/jobs"].service, spans["job quantize"].service) == ("lowbit-api", "lowbit-worker")
    assert {"claim", "calibrate", "package"} <= set(spans)
    assert spans["calibrate"].parent_id == spans["job quantize"].span_id


def _spans_of_trace(spans: list[SeenSpan]) -> set[str]:
    return {span.name for span in spans if span.trace_id == TRACE_ID}
