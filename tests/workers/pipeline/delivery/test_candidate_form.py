"""Only candidates that could be this job's own become its files."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from tests.workers.quantization.small_models import residual_cnn, two_matmuls
from workers.pipeline.delivery.candidate_form import CandidateForm, PartsForm
from workers.pipeline.delivery.candidates import Candidate, Produced, facts_of
from workers.pipeline.steps.step_file import StepContent, StepUnusable
from workers.protocol.tasks import QuantizeTask
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu
from workers.targets.stamp import restamped


def form(folder: Path, **provenance: str) -> CandidateForm:
    folder.mkdir(exist_ok=True)
    task = QuantizeTask(
        model="m", calibration="c", model_name="m.onnx", target="onnxruntime-cpu", recipe=PRESETS["int8-fast"],
        objective=Objective(), benchmark=Benchmark(), threads=1, provenance=provenance,
    )  # fmt: skip
    return CandidateForm(task, OnnxRuntimeCpu(), folder, inputs=("x",), outputs=("y",))


def produced(wanted: CandidateForm) -> Produced:
    """Two candidates: the same float model as a portable form and as the runtime's own."""
    paths = []
    for key in ("minmax", "minmax_ort"):
        path = wanted.folder / f"m_int8_{key}.onnx"
        model = restamped(residual_cnn(), facts_of(wanted.task, label=key, percentile=None))
        path.write_bytes(model.SerializeToString())
        paths.append(path)
    portable, own = paths
    return Produced(
        (
            Candidate("minmax", "minmax", "min_max", "int8", None, portable),
            Candidate("minmax_ort", "minmax_ort", "min_max", "int8", None, own, portable=portable),
        ),
        "onnxruntime-cpu",
    )


def test_candidates_come_back_as_this_jobs_files(tmp_path: Path) -> None:
    first = form(tmp_path / "first", job_id="job_1", evaluation_sha256="of the first job alone")
    second = form(tmp_path / "second", job_id="job_2")
    found = second.unpacked(first.packed(produced(first)))
    for candidate in found.candidates:
        facts = {p.key: p.value for p in onnx.load(candidate.path).metadata_props}
        assert (facts["lowbit.job_id"], facts["lowbit.variant"]) == ("job_2", candidate.key)
        assert "lowbit.evaluation_sha256" not in facts
    assert found == produced(second)  # which writes over the files


MODEL = np.frombuffer(residual_cnn().SerializeToString(), np.uint8)
OTHER = np.frombuffer(two_matmuls().SerializeToString(), np.uint8)
ONE: dict[str, Any] = {
    "key": "minmax", "label": "l", "method": "min_max", "dtype": "int8", "percentile": None, "layers": [],
    "portable": None,
}  # fmt: skip


def content(*arrays: Any, calibrated_by: Any = None, **changes: Any) -> StepContent:
    one = {**ONE, **changes}
    return StepContent(
        {"candidates": [one] * len(arrays), "calibrated_by": calibrated_by}, {str(i): a for i, a in enumerate(arrays)}
    )


def test_the_sound_one_of_these_is_taken(tmp_path: Path) -> None:
    assert [c.key for c in form(tmp_path).unpacked(content(MODEL)).candidates] == ["minmax"]


@pytest.mark.parametrize(
    "wrong",
    [
        StepContent({}),
        content(),
        content(MODEL, MODEL),  # of one name
        content(MODEL, key="../../elsewhere"),
        content(MODEL, key="a/b"),
        content(MODEL, label="l" * 201),
        content(MODEL, dtype="../int8"),
        content(MODEL, layers=[{"node": "n"}]),
        content(MODEL, portable=1),
        content(MODEL, portable=-1),
        content(MODEL, calibrated_by=3),
        content(MODEL.astype(np.float64)),
        content(MODEL[:-20]),
        content(OTHER[:0]),
        StepContent(content(MODEL).facts, {"1": MODEL}),
    ],
)
def test_what_no_job_would_have_made_is_refused(tmp_path: Path, wrong: StepContent) -> None:
    with pytest.raises(StepUnusable):
        form(tmp_path / "outputs").unpacked(wrong)
    assert {p.name for p in tmp_path.iterdir()} <= {"outputs"}


def test_a_model_with_other_inputs_is_refused(tmp_path: Path) -> None:
    wanted = form(tmp_path)
    with pytest.raises(StepUnusable, match="other inputs"):
        CandidateForm(wanted.task, wanted.target, wanted.folder, inputs=("x",), outputs=("z",)).unpacked(content(MODEL))


def test_the_last_step_names_exactly_the_candidates_that_the_job_asks_for() -> None:
    parts = PartsForm(("a", "b"))
    assert parts.unpacked(parts.packed(("a", "b"))) == ("a", "b")
    for facts in ({"parts": ["a"]}, {"parts": ["b", "a"]}, {"parts": "ab"}, {}):
        with pytest.raises(StepUnusable):
            parts.unpacked(StepContent(facts))
