"""OpenTelemetry traces, when the standard `OTEL_*` variables name a place to send them to; else nothing is imported.

The API's request spans are FastAPI's own. A worker adds one span for each attempt at a job, in the trace of the request
that made the job, and below it one for the claim and for each stage.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

log = structlog.get_logger("lowbit.tracing")

QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines; their spans would bury the others."""

_provider: "TracerProvider | None" = None


def is_configured(environment: Mapping[str, str]) -> bool:
    """True if spans are wanted: an address to send them to is named, and nothing says otherwise."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environment.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))


def configure_tracing(service: str) -> None:
    """Send this process's spans, under a service name, to where the environment says."""
    global _provider  # noqa: PLW0603  the library's own provider is a global of the process too
    if not is_configured(os.environ):
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415  an optional dependency
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        log.warning("OTEL_* asks for traces, but OpenTelemetry is not installed: pip install 'lowbit-server[otel]'")
        return
    named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": service}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(_provider)


def request_telemetry() -> "TelemetryConfig":
    """FastAPI's `telemetry`: request spans if configured. Its metrics and logs would double ours."""
    return {
        "tracing": is_configured(os.environ),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in QUIET_PATHS,
    }


def current_traceparent() -> str | None:
    """The span that is open here, in the form of the header; None without tracing."""
    if _provider is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def attempt_span(
    name: str, *, traceparent: str | None, claim_seconds: float, facts: Mapping[str, str | int]
) -> Iterator[None]:
    """The span of one attempt at a job. It begins with the claim, before the job was known."""
    if _provider is None:
        yield
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent} if traceparent else {})
    with _tracer(_provider).start_as_current_span(
        name,
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes={f"lowbit.{key}": value for key, value in facts.items()},
        start_time=_nanoseconds_ago(claim_seconds),
    ):
        past_span("claim", seconds=claim_seconds)
        yield


def past_span(name: str, *, seconds: float) -> None:
    """Something that has just ended and took so long, as a child of the open span."""
    if _provider is not None:
        _tracer(_provider).start_span(name, start_time=_nanoseconds_ago(seconds)).end()


def flush_traces() -> None:
    """Send what is still here; for the end of a process."""
    if _provider is not None:
        _provider.shutdown()


def _tracer(provider: "TracerProvider") -> "Tracer":
    return provider.get_tracer("lowbit")


def _nanoseconds_ago(seconds: float) -> int:
    return time.time_ns() - round(seconds * 1e9)
