import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from app.contracts.result import VariantOutcome
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline.__main__ import attempt
from workers.protocol.outcome import Finished
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask

DATA = np.linspace(-1.0, 1.0, 2 * 3 * 16, dtype=np.float32).reshape(2, 3, 16)


@pytest.fixture
def candidates_of(npz: Any, tmp_path: Path) -> Any:
    """A function from percentiles to the candidates of two products, in the folder `outputs`."""
    (tmp_path / "m").write_bytes(two_matmuls().SerializeToString())
    npz("c.npz", x=DATA)

    def made(*percentiles: float) -> tuple[VariantOutcome, ...]:
        recipe = PRESETS["int8-balanced"].model_copy(update={"percentiles": percentiles})
        task = QuantizeTask(
            model="m", calibration="c.npz", model_name="m.onnx", target="onnxruntime-cpu", recipe=recipe,
            objective=Objective(), benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1,
        )  # fmt: skip
        outcome = attempt(task, tmp_path, Reporter(io.StringIO()))
        assert isinstance(outcome, Finished), outcome
        return outcome.ok.outcome.variants[1:]

    return made


def test_percentiles_that_differ_in_the_last_digit_keep_files_of_their_own(tmp_path: Path, candidates_of: Any) -> None:
    found = candidates_of(99.99991, 99.99992, 99.9999999)
    assert [c.key for c in found] == ["p99.99991", "p99.99992", "p99.9999999"]
    assert {p.name for p in (tmp_path / "outputs").glob("*.onnx")} == {f"m_int8_{c.key}.onnx" for c in found}
    for candidate in found:
        model = onnx.load(tmp_path / "outputs" / f"m_int8_{candidate.key}.onnx")
        facts = {p.key: p.value for p in model.metadata_props}
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
