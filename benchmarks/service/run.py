"""`make bench-service`: from submission to running, status beside a thousand streams, a large upload.

Writes benchmarks/results/service.json. Arguments name the parts to measure (submission, status, upload, cost); without
any, all are. Figures of parts that were not measured are kept from the run before.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.conditions import conditions
from benchmarks.processes import ROOT
from benchmarks.service import lean_client, status
from benchmarks.service.embedded import embedded
from benchmarks.service.job_cost import measure_cost
from benchmarks.service.status import measure_status
from benchmarks.service.submission import submit_to_running_ms
from benchmarks.service.upload import measure_upload

RESULTS = ROOT / "benchmarks" / "results" / "service.json"
QUICK_CANCEL = {"LOWBIT_LEASE_SECONDS": "3"}
"""A cancelled job is noticed at the next heartbeat, six in a lease; without it, fifty jobs would take ten minutes."""
NO_WORKERS = {"LOWBIT_CPU_WORKERS": "0", "LOWBIT_RATE_LIMIT_PER_MINUTE": "60000"}
"""Jobs stay as they are put, and one key may ask two hundred times a second."""


def main() -> None:
    parts = sys.argv[1:] or list(PARTS)
    measured: dict[str, Any] = {}
    for part in parts:
        started = conditions()
        with tempfile.TemporaryDirectory(prefix="lowbit-bench-") as folder:
            figures = PARTS[part](Path(folder))
        measured |= figures | {part: figures[part] | {"conditions": started}}
        time.sleep(1)
    results = (json.loads(RESULTS.read_text()) if RESULTS.exists() else {}) | measured
    RESULTS.write_text(json.dumps(dict(sorted(results.items(), key=_headline_first)), indent=1) + "\n")
    print(RESULTS.read_text())


def _submission(folder: Path) -> dict[str, Any]:
    with embedded(folder, QUICK_CANCEL) as service:
        waits = sorted(submit_to_running_ms(service))
    detail = {"submissions": len(waits), "lowest_ms": waits[0], "highest_ms": waits[-1], "lease_seconds": 3}
    return {"submit_to_running_ms_p50": round(median(waits), 1), "submission": detail}


def _status(folder: Path) -> dict[str, Any]:
    with embedded(folder, NO_WORKERS) as service:
        found = measure_status(service, folder)
    return {
        "sse_streams": found.load.streams,
        "status_p99_ms": round(found.p(0.99), 1),
        "api_rss_mb": round(found.api_rss_mb, 1),
        "status": {
            "requests": len(found.load.latencies_ms),
            "errors": found.load.errors,
            "requests_per_second": status.PER_SECOND,
            "seconds": status.SECONDS,
            "p50_ms": round(found.p(0.5), 1),
            "p90_ms": round(found.p(0.9), 1),
            "highest_ms": round(found.p(1.0), 1),
            "jobs": status.JOBS,
            "changes_per_second": status.CHANGES_PER_SECOND,
            "frames_received": found.load.frames,
            "api_cores": round(found.api_cores, 3),
            "api_rss_idle_mb": round(found.api_rss_idle_mb, 1),
            "pinning": "the API on core 0; database, broker and load on core 1",
        },
    }


def _upload(folder: Path) -> dict[str, Any]:
    with embedded(folder) as service:
        found = measure_upload(service, folder)
    return {
        "upload_rss_growth_mb": round(found.rss_growth_mb, 1),
        "upload_to_copy_throughput_ratio": round(found.throughput_ratio, 3),
        "client_upload_to_copy_ratio": round(found.client_throughput_ratio, 3),
        "upload": {
            "file_bytes": found.file_bytes,
            "part_bytes": found.part_bytes,
            "connections": lean_client.CONNECTIONS,
            "measured": "from the first request to the answer that the upload is completed: every byte durable; the "
            "verification follows. Copies are read, written and synced; the source is in the page cache",
            "upload_client": "sendfile on bare sockets; it knew the sha256 of the file before",
            "client_upload_client": "the Python client, which hashes the file while it sends it",
            "upload_seconds": round(found.upload_seconds, 2),
            "client_upload_seconds": round(found.client_upload_seconds, 2),
            "verification_seconds": round(found.verification_seconds, 2),
            "copies_seconds": [round(seconds, 2) for seconds in found.copies_seconds],
            "load_averages": [round(load, 2) for load in found.load_averages],
            "api_cpu_seconds": round(found.api_cpu_seconds, 2),
            "rss_before_mb": round(found.rss_before_mb, 1),
            "rss_highest_mb": round(found.rss_highest_mb, 1),
        },
    }


def _cost(folder: Path) -> dict[str, Any]:
    with embedded(folder) as service:
        return {"cost": measure_cost(service, folder)}


PARTS = {"submission": _submission, "status": _status, "upload": _upload, "cost": _cost}


def _headline_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return isinstance(item[1], dict), item[0]


if __name__ == "__main__":
    main()
