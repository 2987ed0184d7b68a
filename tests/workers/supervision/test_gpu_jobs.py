"""A job that was claimed for a GPU has one, to itself; no other job has any. Nodes that every machine has stand in."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from billiard.pool import Pool
from billiard.process import current_process
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from app.settings import Settings
from app.storage.directory import DirectoryStore
from app.tables import Job
from tests.workers.supervision.conftest import ENDS_WELL, Perform, error_of
from workers.protocol.outcome import Outcome, Refused
from workers.sandbox.gpu import Gpu
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import OutOfMemory, ProcessCrashed
from workers.supervision.crew import Crew
from workers.supervision.process import job_process
from workers.supervision.process.limits import Limits

START = (sys.executable, "-m", "celery", "-A", "workers.celery_app:celery", "worker", "--concurrency", "2", "--queues")
UUID = "GPU-11111111-1111-2222-3333-444444444444"
ADDRESSES = 2**42
"""That a process reserves, as CUDA does: more than any limit on memory."""


@pytest.fixture
def gpu(tmp_path: Path) -> Gpu:
    (node := tmp_path / "nvidia1").symlink_to("/dev/full")
    return Gpu(1, UUID, (node,))


def run(scratch: Path, code: str, level: Level, gpu: Gpu | None, within: Limits | None = None) -> Outcome:
    command = [sys.executable, "-c", f"import mmap, os, resource, sys\n{code}\n{ENDS_WELL}"]
    return job_process.run(
        scratch, command=command, level=level, limits=within or Limits(), on_event=print, check=lambda: None, gpu=gpu
    )


@pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK])
def test_the_process_has_the_nodes_and_the_name_of_its_gpu_and_others_have_neither(
    tmp_path: Path, gpu: Gpu, level: Level
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    opened = f"os.open({str(gpu.nodes[0])!r}, os.O_RDWR)"
    seen = "os.environ['CUDA_VISIBLE_DEVICES']"
    run(scratch, f"{opened}; assert {seen} == {UUID!r}", level, gpu)
    run(scratch, f"assert {seen} == ''\ntry: {opened}; sys.exit(3)\nexcept OSError: pass", level, None)


def test_addresses_may_be_reserved_where_data_is_limited(tmp_path: Path, gpu: Gpu) -> None:
    code = f"mmap.mmap(-1, {ADDRESSES}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)"
    assert isinstance(run(tmp_path, code, Level.LANDLOCK, gpu, Limits(data_bytes=2**30)), Refused)
    with pytest.raises(ProcessCrashed) as caught:
        run(tmp_path, code, Level.LANDLOCK, None, Limits(address_space_bytes=2**30))
    assert caught.value.log_tail[-1] == "OSError: [Errno 12] Cannot allocate memory"


def test_a_process_that_is_refused_more_data_is_out_of_memory(tmp_path: Path, gpu: Gpu) -> None:
    with pytest.raises(OutOfMemory, match=r"reached its data's limit of 1024 MiB"):
        run(tmp_path, "bytearray(2 * 1024**3)", Level.LANDLOCK, gpu, Limits(data_bytes=2**30))


@pytest.mark.parametrize("has_gpu", [True, False])
def test_memory_is_limited_by_what_is_written_where_there_is_a_gpu_and_by_addresses_elsewhere(
    perform: Perform, gpu: Gpu, has_gpu: bool
) -> None:
    limited, free = ("DATA", "AS") if has_gpu else ("AS", "DATA")
    before = resource.getrlimit(getattr(resource, f"RLIMIT_{free}"))
    script = f"""import resource
assert resource.getrlimit(resource.RLIMIT_{limited}) == (2**30, 2**30)
assert resource.getrlimit(resource.RLIMIT_{free}) == {before}
assert os.environ["CUDA_VISIBLE_DEVICES"] == {UUID if has_gpu else ""!r}
{ENDS_WELL}"""
    after = perform(script, settings={"job_memory_bytes": 2**30}, gpu=gpu if has_gpu else None)
    assert error_of(after)["code"] == "onnx_parse_error"  # what the script says when it got so far


@pytest.mark.parametrize(
    ("queue", "kind", "has_it"),
    [
        ("gpu", "quantize", True), ("cpu", "quantize", False), ("inspect", "inspect_model", False),
        ("gpu", "inspect_model", False), ("gpu", "inspect_dataset", False), ("gpu", "verify_upload", False),
    ],
)  # fmt: skip
def test_only_a_quantize_job_of_the_gpu_queue_is_given_the_slots_gpu(
    tmp_path: Path, gpu: Gpu, queue: str, kind: str, has_it: bool
) -> None:
    crew = Crew(Settings(), sessionmaker(create_engine("sqlite://")), DirectoryStore(tmp_path / "store"), gpu)
    assert crew.gpu_for(Job(queue=queue, kind=kind)) == (gpu if has_it else None)


@pytest.mark.parametrize(("queues", "refuses"), [("gpu", True), ("cpu,gpu", True), ("cpu", False)])
def test_a_worker_that_serves_gpus_refuses_to_start_with_one_line_where_there_is_none(
    tmp_path: Path, queues: str, refuses: bool
) -> None:
    told = {
        **os.environ, "CUDA_VISIBLE_DEVICES": "", "LOWBIT_SCRATCH_DIR": str(tmp_path), "PATH": str(tmp_path),
        "LOWBIT_BROKER_URL": "redis://127.0.0.1:1/0", "LOWBIT_SANDBOX": "bubblewrap",
    }  # fmt: skip
    ran = subprocess.run([*START, queues], env=told, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("lowbit: ")
    assert ("GPU" in last) == refuses  # the other one ends for want of its sandbox


def test_a_process_that_takes_anothers_place_in_the_pool_has_its_number() -> None:
    """So a slot keeps its GPU: what `workers.tasks` relies on."""
    with Pool(2, maxtasksperchild=1) as pool:
        seen = [pool.apply_async(_number_and_process).get(timeout=120) for _ in range(6)]
    assert {number for number, _ in seen} <= {0, 1}
    assert len({process for _, process in seen}) == 6


def _number_and_process() -> tuple[int, int]:
    return current_process().index, os.getpid()  # type: ignore[attr-defined]  # the pool sets it
