"""In processes of their own, as a provider is set once for a process; spans go to a real collector."""

import os
import subprocess
import sys

import pytest

from app.observability.tracing import is_configured
from tests.servers.trace_collector import running_collector

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

ATTEMPT = f"""
from app.observability.tracing import *
configure_tracing("lowbit-worker")
with attempt_span("job quantize", traceparent={TRACEPARENT!r}, claim_seconds=0.5, facts={{"job_id": "job_1"}}):
    print(current_traceparent())
    past_span("calibrate", seconds=2.0)
flush_traces()
"""


def _run(code: str, environment: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_an_attempt_is_a_span_in_the_trace_of_its_request() -> None:
    with running_collector() as collector:
        traceparent = _run(ATTEMPT, collector.environment())
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"job quantize", "claim", "calibrate"}
    attempt = spans["job quantize"]
    assert (attempt.trace_id, attempt.parent_id) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert attempt.attributes["lowbit.job_id"] == "job_1"
    assert attempt.service == "lowbit-worker"
    assert attempt.seconds >= 0.5  # it began with the claim
    assert traceparent == f"00-{attempt.trace_id}-{attempt.span_id}-01"
    for child, seconds in (("claim", 0.5), ("calibrate", 2.0)):
        assert spans[child].parent_id == attempt.span_id
        assert seconds <= spans[child].seconds < seconds + 0.5


def test_without_an_address_nothing_is_imported() -> None:
    assert _run(ATTEMPT + "\nimport sys; print('opentelemetry' in sys.modules)", {}) == "None\nFalse"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], *, wanted: bool) -> None:
    assert is_configured(environment) is wanted
