"""The memory of a job does not grow with its samples: measured on the job's own process while it works."""

import contextlib
import re
import threading
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e import dense, tiny
from tests.e2e.conversation import finished, resource
from tests.servers.processes import running
from tests.servers.service import Service

FEW, MANY = 1_200, 12_000
INPUTS = 768
"""Of four bytes: the additional samples alone are 10,800 * 768 * 4 = 33 MB, so keeping half of them would show."""
MOST_GROWTH_BYTES = 14_000_000


class PeakMemory(threading.Thread):
    """Asks the system for the highest resident size (VmHWM) of the processes that do jobs, as long as it runs."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.bytes: dict[int, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            for process in running(self.service.processes(), "workers.pipeline"):
                self._watch(process.pid)

    def _watch(self, pid: int) -> None:
        """Until it ends. Asking one process is cheap; the others are looked through only to find it."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # one that has ended and is not yet buried has no memory
            while found := re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
                self.bytes[pid] = 1024 * int(found[1])
                if self.over.wait(0.05):
                    break

    def __enter__(self) -> "PeakMemory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def _peak_bytes(service: Service, http: httpx2.Client, model_id: str, samples: int) -> int:
    dataset = resource(http, tiny.npz_bytes(x=dense.rows(samples, INPUTS)), "datasets")
    body: dict[str, Any] = {
        "model_id": model_id,
        "calibration_dataset_id": dataset["id"],
        "recipe": {"preset": "int8-accurate"},
        "benchmark": tiny.QUICK_BENCHMARK,
    }
    with PeakMemory(service) as peak:
        job = finished(http, http.post("/v1/jobs", json=body).json()["id"])
    assert job["status"] == "succeeded", job["error"]
    assert job["result"]["best"]["samples"] == samples
    (one,) = peak.bytes.values()
    return one


def test_ten_times_the_samples_take_no_more_memory(service: Service, http: httpx2.Client) -> None:
    model_id = resource(http, dense.model_bytes(INPUTS), "models")["id"]
    few = _peak_bytes(service, http, model_id, FEW)
    many = _peak_bytes(service, http, model_id, MANY)
    assert many - few < MOST_GROWTH_BYTES
