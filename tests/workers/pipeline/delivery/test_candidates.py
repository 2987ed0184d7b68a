import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipe import PRESETS
from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.delivery.candidates import Candidate
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.methods.static.method import static_candidates
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.onnxruntime_session import Session
from workers.targets.preparation import prepare

DATA = np.linspace(-1.0, 1.0, 2 * 3 * 16, dtype=np.float32).reshape(2, 3, 16)


@pytest.fixture
def candidates_of(npz: Any, tmp_path: Path) -> Any:
    """A function from percentiles to the candidates of two products, in the folder `models`."""
    folder = tmp_path / "models"
    folder.mkdir()

    def made(*percentiles: float) -> tuple[Candidate, ...]:
        recipe = PRESETS["int8-balanced"].model_copy(update={"percentiles": percentiles})
        task = QuantizeTask(
            model="m", calibration="c", model_name="m.onnx", target="onnxruntime-cpu", recipe=recipe,
            objective=Objective(), benchmark=Benchmark(), threads=1,
        )  # fmt: skip
        model, reporter = two_matmuls(), Reporter(io.StringIO())
        feeder = feeder_for(describe(model), open_archive(npz(x=DATA)), reporter)
        session = Session(model.SerializeToString(), threads=1)
        steps = StepFolder.of(task, tmp_path, reporter)
        return static_candidates(prepare(model, recipe), session, feeder, task, folder, steps, output="y").candidates

    return made


def test_percentiles_that_differ_in_the_last_digit_keep_files_of_their_own(tmp_path: Path, candidates_of: Any) -> None:
    found = candidates_of(99.99991, 99.99992, 99.9999999)
    assert [c.key for c in found] == ["p99.99991", "p99.99992", "p99.9999999"]
    assert {p.name for p in (tmp_path / "models").iterdir()} == {f"m_int8_{c.key}.onnx" for c in found}
    for candidate in found:
        facts = {p.key: p.value for p in onnx.load(candidate.path).metadata_props}
        assert float(facts["lowbit.percentile"]) == candidate.percentile


@pytest.mark.parametrize(
    ("percentile", "key", "label"),
    [
        (90.0, "p90", "int8 percentile 90"),
        (99.9, "p99.9", "int8 percentile 99.9"),
        (99.9999999, "p99.9999999", "int8 percentile 99.9999999"),
        (100.0, "minmax", "int8 min-max"),
    ],
)
def test_a_candidate_is_called_after_its_percentile(
    candidates_of: Any, percentile: float, key: str, label: str
) -> None:
    (found,) = candidates_of(percentile)
    assert (found.key, found.label) == (key, label)
