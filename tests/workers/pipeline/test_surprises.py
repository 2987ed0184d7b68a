"""An exception that nobody foresaw ends a job at once, with the stage and its class, and nothing of ours."""

import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contracts.status import Stage
from tests.workers.pipeline.jobs import done
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline import quantize as module
from workers.pipeline.__main__ import attempt
from workers.protocol.outcome import Refused
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask

X = {"x": np.random.default_rng(0).normal(size=(8, 3, 16)).astype(np.float32)}


def failing(error: BaseException) -> Any:
    def quantize(_task: object, _scratch: Path, reporter: Reporter) -> None:
        reporter.enter(Stage.CALIBRATE)
        raise error

    return quantize


@pytest.mark.parametrize(
    "error", [IndexError("/secret/place"), ValueError("x"), AssertionError(), KeyError("k"), OSError(errno.ENOENT, "x")]
)
def test_a_surprise_is_one_problem_that_names_stage_and_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, error: Exception
) -> None:
    monkeypatch.setattr(module, "quantize", failing(error))
    outcome = done(tmp_path, two_matmuls(), X)
    assert isinstance(outcome, Refused)
    found = outcome.problem
    assert (found.code, found.status, found.stage) == ("unexpected_error", 500, "calibrate")
    assert type(error).__name__ in found.detail
    assert "secret" not in found.model_dump_json()
    assert "Traceback" in capfd.readouterr().err  # the log has all of it


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_what_another_machine_need_not_meet_is_left_to_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(module, "quantize", failing(OSError(number, "x")))
    with pytest.raises(OSError, match="x"):
        done(tmp_path, two_matmuls(), X)


def test_a_full_disk_and_exhausted_memory_have_problems_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, code in ((OSError(errno.ENOSPC, "x"), "insufficient_scratch"), (MemoryError(), "out_of_memory")):
        monkeypatch.setattr(module, "quantize", failing(error))
        outcome = done(tmp_path, two_matmuls(), X)
        assert isinstance(outcome, Refused)
        assert outcome.problem.code == code


def test_an_inspection_that_meets_a_surprise_says_that_the_file_is_likely_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pipeline.inspection.model.inspect_model", failing(IndexError()))
    outcome = attempt(InspectModelTask(model="model.onnx", format="onnx"), tmp_path, Reporter(io.StringIO()))
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "inspection_crashed"
