"""A service that cannot give each job on a GPU one says so before it makes anything."""

import os
import subprocess
from pathlib import Path

import pytest

from app.serve.command import worker
from app.serve.gpus import require_gpus
from app.serve.refusal import Refusal


def test_nobody_is_asked_where_nothing_runs_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)  # it would fail
    require_gpus(0)


def test_what_the_workers_would_say_is_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(Refusal, match="GPU") as caught:
        require_gpus(1)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("queues", "slots"), [("gpu", "2"), ("cpu", "5"), ("cpu,gpu", "5")])
def test_a_worker_for_gpus_alone_has_as_many_slots_as_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, queues: str, slots: str
) -> None:
    told = {"DATABASE_URL": "postgresql://x/y", "BROKER_URL": "redis://x", "STORAGE_URL": "file:///x"}
    told |= {"SCRATCH_DIR": str(tmp_path), "CPU_WORKERS": "5", "GPU_WORKERS": "2"}
    for name, value in told.items():
        monkeypatch.setenv(f"LOWBIT_{name}", value)
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    worker(queues)
    assert started[0][started[0].index("--concurrency") + 1] == slots
