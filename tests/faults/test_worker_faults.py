"""Faults inside a worker and around it: a full disk, too little memory, an order to stop, a wrong clock, poison.

The service has no CPU worker of its own here: every test starts one the way it needs it.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
from onnx import helper

from app.serve.data_directory import DataDirectory
from app.serve.postgres import PrivatePostgres
from tests.e2e import tiny
from tests.e2e.conversation import resource
from tests.faults.clients import Tenant
from tests.faults.fleet import ENVIRONMENT, another_tenant, storage, until
from tests.faults.proxy import HEALTHY, Faults
from tests.faults.scene import QUICK, Scene, running_scene
from tests.servers.folders import short_folder
from tests.servers.seaweedfs import Seaweed

pytestmark = pytest.mark.faults

LOWBIT = str(Path(sys.executable).with_name("lowbit"))
STALL_FACTOR = "0.03"
"""600 s of silence at the start of a job's process become 18."""
GRACE_SECONDS = 30.0
"""What the supervisor and the containers give a worker that is told to stop."""
WRONG_CLOCK = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {shift}
time.time_ns = lambda: _time_ns() + {shift} * 10**9
"""


@pytest.fixture(scope="module")
def one_scene(s3: Seaweed) -> Iterator[Scene]:
    with running_scene(s3, {"LOWBIT_CPU_WORKERS": "0"}) as running:
        yield running


@pytest.fixture
def scene(one_scene: Scene) -> Iterator[Scene]:
    yield one_scene
    with _worker(one_scene):
        one_scene.calm_down()


class _Worker:
    def __init__(self, process: "subprocess.Popen[bytes]", scratch: Path) -> None:
        self.process = process
        self.scratch = scratch

    def job_processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "workers.pipeline" in " ".join(process.cmdline()) and process.name() != "bwrap":
                    found.append(process)
        return found

    def folders(self) -> list[Path]:
        """Of attempts, as the worker sees them: its scratch may be mounted for it alone."""
        seen = Path(f"/proc/{self.process.pid}/root{self.scratch}/jobs")
        return list(seen.iterdir()) if seen.exists() else []


@contextmanager
def _worker(
    scene: Scene, environment: Mapping[str, str] | None = None, *, wrapped: Sequence[str] = (), slots: int = 1
) -> Iterator[_Worker]:
    """`lowbit worker` on a scratch folder of its own."""
    data = DataDirectory(scene.fleet.service.data_dir)
    database = PrivatePostgres(data, data.root / "run", identity=None).application_url()
    with short_folder() as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        told = {
            **ENVIRONMENT,
            **storage(scene.fleet.s3, scene.fleet.prefix, through=scene.store.address),
            "LOWBIT_DATABASE_URL": database,
            "LOWBIT_BROKER_URL": f"redis://{scene.broker.address}",
            "LOWBIT_SCRATCH_DIR": str(scratch),
            **(environment or {}),
        }
        command = [word.format(scratch=scratch) for word in wrapped]
        command += [LOWBIT, "worker", "--queues", "cpu", "--slots", str(slots)]
        with (folder / "worker.log").open("wb") as log:
            process = subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log)
        try:
            yield _Worker(process, scratch)
        finally:
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _tiny_disk() -> list[str]:
    """A scratch folder of 96 MiB in a mount namespace of the worker's own. Root may make one; others need a user's."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return [*namespace, "sh", "-c", 'mount -t tmpfs -o size=96m tmpfs {scratch} && exec "$@"', "sh"]


def _fill(worker: _Worker) -> Path:
    """Take all the room that is left on the worker's disk."""
    filler = Path(f"/proc/{worker.process.pid}/root{worker.scratch}/filler")
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(64 * 1024))
    return filler


@pytest.mark.parametrize("stage", ["fetch", "benchmark"])
def test_f17_a_full_scratch_disk_is_named_and_cleaned_up(scene: Scene, stage: str) -> None:
    with _worker(scene, wrapped=_tiny_disk()) as worker:
        warm = scene.finished(scene.submit())
        assert warm["status"] == "succeeded"  # there is room enough for a job
        if stage == "fetch":
            filler = _fill(worker)
            job_id = scene.submit()
        else:
            job_id = scene.submit(benchmark={"batch_sizes": [1], "duration_s": 3.0})
            until(lambda: scene.job(job_id)["stage"] == stage)
            filler = _fill(worker)
        after = scene.finished(job_id)
        assert (after["status"], after["error"]["code"]) == ("failed", "insufficient_scratch")
        until(lambda: not worker.folders(), seconds=10)
        filler.unlink()
        assert scene.finished(scene.submit())["status"] == "succeeded"


def test_f18_a_job_that_needs_too_much_memory_is_told_so_and_not_tried_again(scene: Scene) -> None:
    with _worker(scene, {"LOWBIT_JOB_MEMORY_BYTES": str(1024**3)}):
        model = resource(scene.http, _hungry_model(), "models")
        after = scene.finished(scene.submit(model_id=model["id"]))
        assert (after["status"], after["attempt"]) == ("failed", 1)
        assert after["error"]["code"] == "out_of_memory"
        assert "memory" in after["error"]["detail"]


@pytest.mark.parametrize("stage", ["fetch", "benchmark", "package"])
def test_f19_a_worker_that_is_told_to_stop_gives_its_job_back_in_time(scene: Scene, stage: str) -> None:
    with _worker(scene) as worker:
        seconds = 60.0 if stage == "benchmark" else 2.0
        if stage == "fetch":
            scene.finished(scene.submit())  # the worker has its store: one that has none claims nothing
            scene.store.faults = Faults(is_black_hole=True)
        job_id = scene.submit(benchmark={"batch_sizes": [1], "duration_s": seconds})
        if stage == "package":
            until(lambda: scene.job(job_id)["stage"] == "benchmark")
            scene.store.faults = Faults(is_black_hole=True)
            until(lambda: not worker.job_processes())  # the work is done, and its outputs are on their way
        else:
            until(lambda: scene.job(job_id)["stage"] == stage)
        worker.process.terminate()
        worker.process.wait(GRACE_SECONDS)
        scene.store.faults = HEALTHY
        after = scene.job(job_id)
        assert (after["status"], after["attempt"]) == ("queued", 0)
        assert not worker.folders()


@pytest.mark.parametrize("shift_seconds", [3600, -3600])
def test_f20_a_worker_whose_clock_is_wrong_works_like_any_other(
    scene: Scene, tmp_path: Path, shift_seconds: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WRONG_CLOCK.format(shift=shift_seconds))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with _worker(scene, {"PYTHONPATH": path}):
        # longer than a lease, so that a heartbeat with the wrong time would lose it
        job_id = scene.submit(benchmark={"batch_sizes": [1], "duration_s": 5.0})
        after = scene.finished(job_id)
    assert (after["status"], after["attempt"]) == ("succeeded", 1)
    assert scene.steps(job_id) == ["queued", "running", "succeeded"]


@pytest.mark.parametrize("poison", [signal.SIGSEGV, signal.SIGSTOP], ids=["crashes", "hangs"])
def test_f24_poison_is_quarantined_while_another_tenants_jobs_go_on(scene: Scene, poison: signal.Signals) -> None:
    tenant_id, key = another_tenant(scene.fleet, name=f"beside-{poison.name.lower()}")
    other = Tenant(tenant_id, scene.fleet.service.url, key)
    other.prepare()
    impatience = {"LOWBIT_STALL_SECONDS": STALL_FACTOR} if poison == signal.SIGSTOP else {}
    with _worker(scene, impatience, slots=2) as worker, other.client() as http:
        poisoned = scene.submit(benchmark={"batch_sizes": [1], "duration_s": 60.0})
        with _signalling(worker, poisoned, poison):
            good = [http.post("/v1/jobs", json={**other.body, "benchmark": QUICK}).json()["id"] for _ in range(4)]
            done = [until(lambda job_id=job_id: _done(http, job_id)) for job_id in good]
            assert [(job["status"], job["attempt"]) for job in done] == [("succeeded", 1)] * 4
            after = scene.finished(poisoned)
        assert (after["status"], after["attempt"]) == ("failed", 3)
        assert after["error"]["code"] == "job_quarantined"
        assert not worker.folders()
        scene.http.post(f"/v1/admin/jobs/{poisoned}/requeue").raise_for_status()
        scene.in_attempt(poisoned, 1)  # by now it is not poison any more
        assert [_done(http, job_id) for job_id in good] == done


def _done(http: httpx2.Client, job_id: str) -> dict[str, Any] | None:
    job: dict[str, Any] = http.get(f"/v1/jobs/{job_id}").json()
    return job if job["done"] else None


@contextmanager
def _signalling(worker: _Worker, job_id: str, number: signal.Signals) -> Iterator[None]:
    """Send a signal to every process that works on a job, as soon as there is one."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for process in worker.job_processes():
                with suppress(psutil.Error):
                    if job_id in " ".join(process.cmdline()) and process.status() != psutil.STATUS_STOPPED:
                        process.send_signal(number)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _hungry_model() -> bytes:
    """2 GiB for each sample: [b, 1, 8, 8] is repeated to [b, 2**17, 64, 64], and 2**17 * 64 * 64 * 4 bytes = 2 GiB."""
    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {"w1": rng.normal(0, 0.5, (1, 1, 3, 3)), "w3": rng.normal(0, 0.1, (2**17, tiny.CLASSES))}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Constant", [], ["repeats"], value_ints=[1, 2**17, 8, 8]),
        helper.make_node("Tile", ["c1", "repeats"], ["t1"], name="tile"),
        helper.make_node("GlobalAveragePool", ["t1"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3"], ["scores"], name="classifier"),
    ]
    return tiny.model_bytes(nodes=nodes, weights=weights)
