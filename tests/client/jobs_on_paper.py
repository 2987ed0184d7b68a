"""Job objects as the service sends them, for tests of how they are shown."""

from typing import Any

from lowbit.discovery import Connection
from lowbit.job import Job
from lowbit.resources import JobData, JobResult, VariantMetrics
from lowbit.wire import Wire


def metrics(**known: Any) -> VariantMetrics:
    unmeasured: VariantMetrics = {
        "variant_id": "var_0",
        "label": "float32",
        "size_bytes": 17_200_000,
        "accuracy": None,
        "accuracy_ci95": None,
        "accuracy_delta": None,
        "accuracy_delta_ci95": None,
        "agreement": None,
        "agreement_ci95": None,
        "sqnr_db": None,
        "samples": 0,
        "latency_ms": None,
        "speedup": None,
        "throughput_per_s": None,
        "benchmark": [],
    }
    return {**unmeasured, **known}  # type: ignore[typeddict-item]  # the test names fields that exist


def latency(p50: float) -> dict[str, float]:
    return {"p50": p50, "p90": p50, "p99": p50, "mean": p50, "std": 0.0}


def result(**changes: Any) -> JobResult:
    measured: JobResult = {
        "outcome": "objective_met",
        "verdict": "Keeps its accuracy and runs 2.0x as fast.",
        "best_variant_id": "var_1",
        "baseline": metrics(accuracy=0.95, accuracy_ci95=(0.92, 0.98), latency_ms=latency(5.0), speedup=1.0),
        "best": metrics(
            variant_id="var_1",
            label="percentile 99.99",
            size_bytes=4_300_000,
            accuracy=0.945,
            accuracy_delta=-0.005,
            agreement=0.99,
            latency_ms=latency(2.5),
            speedup=2.0,
        ),
        "pareto": ["var_1"],
        "layers_quantized": 10,
        "layers_float": 0,
        "environment": {},
    }
    return {**measured, **changes}  # type: ignore[typeddict-item]  # the test names fields that exist


def job(**changes: Any) -> Job:
    """A succeeded job. Its handle leads nowhere: it is only looked at."""
    data: JobData = {
        "id": "job_1",
        "kind": "quantize",
        "name": None,
        "status": "succeeded",
        "done": True,
        "stage": None,
        "progress": None,
        "stages": [],
        "attempt": 1,
        "model_id": "mdl_1",
        "calibration_dataset_id": "ds_1",
        "evaluation_dataset_id": None,
        "target": "onnxruntime-cpu",
        "recipe": {},
        "objective": None,
        "benchmark": {},
        "result": result(),
        "error": None,
        "warnings": [],
        "labels": {},
        "seed": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
        "links": {},
    }
    wire = Wire(Connection("http://service.test", None), timeout_seconds=1.0)
    return Job(wire, {**data, **changes})  # type: ignore[typeddict-item]  # the test names fields that exist
