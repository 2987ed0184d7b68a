"""What a service makes of the cases: everything about its candidates that is not a time, an id or a place."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lowbit import Client, Job
from lowbit.request import job_request
from lowbit.resources import Variant

from benchmarks.fingerprints.cases import Case
from benchmarks.fingerprints.comparison import Fingerprint
from benchmarks.fingerprints.inputs import Subject
from benchmarks.fingerprints.unstamped import content_of

JOB_SECONDS = 1200.0

_NAMES_OF_ONE_SERVICE = {"id", "file_id", "created_at", "links"}
_TIMED = {"latency_ms", "speedup", "throughput_per_s", "benchmark"}
_STAMPED = {"size_bytes"}
"""The stamp's length is in it; `files` has the sizes without."""


class Uploaded:
    """A subject at one service."""

    def __init__(self, client: Client, subject: Subject) -> None:
        calibration, evaluation = subject.calibration, subject.evaluation
        self.model = client.models.upload(subject.model, subject.name)
        self.calibration = client.datasets.upload(calibration.path, preparation=calibration.preparation)
        self.evaluation = client.datasets.upload(evaluation.path, preparation=evaluation.preparation)

    def inspections(self) -> Fingerprint:
        found = {"model": self.model, "calibration": self.calibration, "evaluation": self.evaluation}
        return {name: _without(resource, _NAMES_OF_ONE_SERVICE) for name, resource in found.items()}


def take(client: Client, case: Case, uploaded: Uploaded) -> Fingerprint:
    """Run one job to its end. Raises JobFailed if it does not succeed: failures prove nothing."""
    model, calibration, evaluation = uploaded.model, uploaded.calibration, uploaded.evaluation
    request = job_request(model["id"], calibration["id"], evaluation["id"], case.options)
    job = client.jobs.create(request).wait(JOB_SECONDS)
    return {"job": _job(job), "variants": _by_file_name(client, job.variants())}


def _job(job: Job) -> Fingerprint:
    """Which candidate is best, and the verdict, follow from timings; whether any is admissible does not."""
    result = job.result
    if result is None:
        raise RuntimeError(f"{job.id} succeeded without a result")
    return {
        "recipe": job.data["recipe"],
        "outcome": result["outcome"],
        "environment": _without(result["environment"], {"lowbit"}),
        "warnings": job.warnings,
    }


def _by_file_name(client: Client, variants: Iterable[Variant]) -> dict[str, Fingerprint]:
    """Variants by the name of their first file, which tells them apart within a job; the float one has none."""
    named = {Path(v["artifacts"][0]["filename"]).stem if v["artifacts"] else v["label"]: v for v in variants}
    return {name: _variant(client, named[name]) for name in sorted(named)}


def _variant(client: Client, variant: Variant) -> Fingerprint:
    return {
        "role": variant["role"],
        "label": variant["label"],
        "calibration_method": variant["calibration_method"],
        "percentile": variant["percentile"],
        "admissible": variant["admissible"],
        "metrics": _without(variant["metrics"], _TIMED | _STAMPED),
        "layers": client.layers(variant["id"]),
        "files": _files(client, variant),
    }


def _files(client: Client, variant: Variant) -> Fingerprint:
    kinds = {artifact["filename"]: artifact["kind"] for artifact in variant["artifacts"]}
    with tempfile.TemporaryDirectory(prefix="lowbit-fingerprints-") as folder:
        paths = client.download(variant["id"], folder) if kinds else []
        return {path.name: asdict(content_of(path, kind=kinds[path.name])) for path in paths}


def _without(fields: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
