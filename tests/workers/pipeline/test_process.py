"""The job's process as the supervisor sees it: a task in, events and an outcome out."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.problem import Problem
from app.contracts.recipes.presets import PRESETS
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.pipeline.__main__ import attempt
from workers.protocol.events import EVENT, MAX_EVENT_BYTES
from workers.protocol.outcome import OUTCOME, Finished, Outcome, Quantized, Refused
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectDatasetTask, InspectModelTask, QuantizeTask

ROOT = Path(__file__).parents[3]
QUICK = Benchmark(batch_sizes=(1, 4), duration_s=0.2)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def run(scratch: Path, task: Any, code: str | None = None) -> Any:
    """(outcome, events): everything that the process said, parsed strictly."""
    (scratch / "task.json").write_text(task.model_dump_json())
    command = ["-m", "workers.pipeline"] if code is None else ["-c", code]
    done = subprocess.run(
        [sys.executable, *command, str(scratch)],
        cwd=scratch, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.splitlines()
    assert all(len(line) <= MAX_EVENT_BYTES for line in lines)
    events = [EVENT.validate_json(line) for line in lines]
    return OUTCOME.validate_json((scratch / "outcome.json").read_bytes()), events


def task(
    scratch: Path,
    model: onnx.ModelProto,
    calibration: Any,
    evaluation: Any = None,
    *,
    recipe: Any = None,
    objective: Any = None,
    target: Any = "onnxruntime-cpu",
) -> QuantizeTask:
    (scratch / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(scratch / "calibration.npz", **calibration)
    if evaluation is not None:
        np.savez(scratch / "evaluation.npz", **evaluation)
    return QuantizeTask(
        model="model.onnx",
        calibration="calibration.npz",
        evaluation=None if evaluation is None else "evaluation.npz",
        model_name="My model.onnx",
        target=target,
        recipe=recipe or PRESETS["int8-balanced"],
        objective=objective or Objective(),
        benchmark=QUICK,
        threads=1,
        provenance={"job_id": "job_1"},
    )


def do(scratch: Path, wanted: Any) -> Outcome:
    """The outcome of doing the task in this process: the same code, without two seconds of imports."""
    return attempt(wanted, scratch, Reporter(io.StringIO()))


def problem_of(scratch: Path, wanted: Any) -> Problem:
    outcome = do(scratch, wanted)
    assert isinstance(outcome, Refused)
    return outcome.problem


def quality_warnings(result: Any) -> list[str]:
    """Without what depends on a small model's time and overhead."""
    return [w.code for w in result.warnings if w.code not in {"slower_than_float", "larger_than_float"}]


def test_digits_from_upload_to_report(scratch: Path, digits: Any) -> None:
    model, calibration, evaluation = digits
    wanted = task(scratch, model, calibration, evaluation, objective=Objective(max_accuracy_drop=0.02))
    outcome, events = run(scratch, wanted)
    result = outcome.ok.outcome
    assert result.outcome == "objective_met"
    assert [e.stage for e in events if e.event == "stage"] == [
        "inspect", "baseline", "calibrate", "quantize", "evaluate", "benchmark", "package",
    ]  # fmt: skip
    assert [v.key for v in result.variants] == ["baseline", "p99.9", "p99.99", "p99.999", "minmax"]
    baseline, *candidates = [v.metrics for v in result.variants]
    assert baseline.accuracy > 0.9
    assert baseline.size_bytes == (scratch / "model.onnx").stat().st_size
    for metrics in candidates:
        assert metrics.size_bytes < baseline.size_bytes * 0.4
        assert metrics.accuracy_delta > -0.02
        assert metrics.accuracy_delta_ci95[0] <= metrics.accuracy_delta <= metrics.accuracy_delta_ci95[1]
        assert metrics.agreement > 0.97
        assert metrics.sqnr_db > 18
        assert [b.batch_size for b in metrics.benchmark] == [1, 4]
        assert metrics.samples == 797
    assert {layer.node for layer in result.layers if layer.quantized} >= {"conv1", "conv2", "head"}
    assert quality_warnings(result) == []


def test_the_delivered_files_are_what_the_report_says(scratch: Path, digits: Any) -> None:
    model, calibration, evaluation = digits
    outcome = do(scratch, task(scratch, model, calibration, evaluation))
    result = outcome.ok.outcome
    outputs = scratch / "outputs"
    assert {f.path for f in result.files} == {p.name for p in outputs.iterdir()}
    assert "My_model_int8_p99.99.onnx" in {f.path for f in result.files}
    assert json.loads((outputs / "report.json").read_text()) == json.loads(result.model_dump_json())
    for variant in result.variants[1:]:
        path = outputs / next(f.path for f in result.files if f.variant_key == variant.key)
        onnx.checker.check_model(onnx.load(path), full_check=True)
        assert path.stat().st_size == variant.metrics.size_bytes
        logits = ort.InferenceSession(path).run(None, {"image": evaluation["image"]})[0]
        accuracy = float((logits.argmax(-1) == evaluation["labels"]).mean())
        assert accuracy == pytest.approx(variant.metrics.accuracy, abs=2 / 797)  # batches of 1 and 8 round differently
        facts = {p.key: p.value for p in onnx.load(path).metadata_props}
        assert facts["lowbit.job_id"] == "job_1"
        assert len(facts["lowbit.recipe_sha256"]) == 64


def test_without_labels_and_evaluation_data_agreement_is_measured_and_the_warning_says_where(
    scratch: Path, digits: Any
) -> None:
    model, calibration, _ = digits
    outcome, events = run(scratch, task(scratch, model, calibration, recipe=PRESETS["int8-fast"]))
    result = outcome.ok.outcome
    assert result.outcome == "no_objective"
    assert [v.key for v in result.variants] == ["baseline", "minmax"]
    assert result.variants[1].metrics.accuracy is None
    assert result.variants[1].metrics.agreement > 0.97
    assert quality_warnings(result) == ["evaluated_on_calibration_data"]
    assert "evaluated_on_calibration_data" in [e.code for e in events if e.event == "warning"]


def test_an_impossible_goal_is_an_honest_outcome(scratch: Path, digits: Any) -> None:
    model, calibration, evaluation = digits
    # what the float model says is the truth here, so int8 can only lose, and at 90 % of the values it does
    session = ort.InferenceSession(model.SerializeToString())
    truth = session.run(None, {"image": evaluation["image"]})[0].argmax(-1)
    wrong = {**evaluation, "labels": truth}
    recipe = PRESETS["int8-balanced"].model_copy(update={"percentiles": (90.0,)})
    wanted = task(scratch, model, calibration, wrong, recipe=recipe, objective=Objective(max_accuracy_drop=0.0))
    outcome = do(scratch, wanted)
    result = outcome.ok.outcome
    candidate = result.variants[1]
    assert candidate.admissible == (candidate.metrics.accuracy_delta >= 0)
    assert result.outcome == ("objective_met" if candidate.admissible else "objective_unmet")
    assert result.best == "p90"


IMAGES = {"x": np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)}


@pytest.mark.parametrize(
    ("changes", "code", "stage"),
    [
        ({"target": "abacus"}, "target_unavailable", None),
        ({"calibration": {"y": IMAGES["x"]}}, "calibration_input_missing", "baseline"),
        ({"calibration": {"x": IMAGES["x"][:, :2]}}, "calibration_shape_mismatch", "baseline"),
        ({"evaluation": {**IMAGES, "labels": np.arange(8)}}, "labels_invalid", "baseline"),
        ({"evaluation": {**IMAGES, "labels": np.zeros((8, 2), np.int64)}}, "labels_length_mismatch", "baseline"),
        ({"objective": Objective(max_accuracy_drop=0.1)}, "labels_missing", "baseline"),
        ({"recipe": {"nodes_to_exclude": ("nosuch",)}}, "recipe_node_not_found", "inspect"),
        ({"recipe": {"op_types_to_exclude": ("Conv", "Gemm")}}, "nothing_to_quantize", "inspect"),
    ],
)
def test_what_the_user_can_put_right_is_a_problem_with_its_stage(
    scratch: Path, changes: Any, code: str, stage: Any
) -> None:
    recipe = PRESETS["int8-fast"].model_copy(update=changes.get("recipe", {}))
    options = {"calibration": IMAGES, **changes, "recipe": recipe}
    found = problem_of(
        scratch, task(scratch, residual_cnn(), options.pop("calibration"), options.pop("evaluation", None), **options)
    )
    assert (found.code, found.stage) == (code, stage)


def test_a_quantized_model_is_not_quantized_twice(scratch: Path, digits: Any) -> None:
    model, calibration, _ = digits
    do(scratch, task(scratch, model, calibration, recipe=PRESETS["int8-fast"]))
    again = onnx.load(scratch / "outputs" / "My_model_int8_minmax.onnx")
    assert problem_of(scratch, task(scratch, again, calibration)).code == "model_already_quantized"


def test_a_fixed_batch_is_kept_and_other_sizes_are_skipped(scratch: Path) -> None:
    model = residual_cnn()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    outcome = do(scratch, task(scratch, model, {"x": np.repeat(IMAGES["x"], 3, 0)[:22]}, recipe=PRESETS["int8-fast"]))
    result = outcome.ok.outcome
    assert [b.batch_size for b in result.variants[1].metrics.benchmark] == [4]
    assert result.variants[1].metrics.samples == 22
    assert {w.code for w in result.warnings} >= {"batch_size_skipped", "last_batch_padded"}


def test_an_output_without_classes_is_compared_by_noise_alone(scratch: Path) -> None:
    weights = random_weights(np.random.default_rng(0), w=(16, 1))
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    model = model_of([node], weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 1]})
    data, other = ({"x": np.random.default_rng(i).normal(size=(40, 16)).astype(np.float32)} for i in (0, 1))
    outcome = do(scratch, task(scratch, model, data, other, recipe=PRESETS["int8-fast"]))
    metrics = outcome.ok.outcome.variants[1].metrics
    assert metrics.agreement is None
    assert metrics.sqnr_db > 25
    assert quality_warnings(outcome.ok.outcome) == ["no_class_axis"]


def with_unprintable_names() -> onnx.ModelProto:
    """Every node and every tensor inside has a NUL in its name; inputs and outputs keep theirs."""
    model = residual_cnn()
    for node in model.graph.node:
        node.name = f"{node.name}\0"
        node.input[:] = [i if i == "x" else f"{i}\0" for i in node.input]
        node.output[:] = [o if o == "y" else f"{o}\0" for o in node.output]
    for tensor in model.graph.initializer:
        tensor.name = f"{tensor.name}\0"
    return model


def test_no_name_inside_a_model_makes_the_result_impossible_to_store(scratch: Path) -> None:
    wanted = task(scratch, with_unprintable_names(), IMAGES, recipe=PRESETS["int8-fast"])
    voice = io.StringIO()
    outcome = attempt(wanted, scratch, Reporter(voice))
    assert isinstance(outcome, Finished)
    assert isinstance(outcome.ok, Quantized)
    assert {layer.node for layer in outcome.ok.outcome.layers} >= {"stem�", "head�"}
    said = [outcome.model_dump_json(), (scratch / "outputs" / "report.json").read_text(), voice.getvalue()]
    assert not any("\\u0000" in text or "\0" in text for text in said)


def test_a_warning_is_cleaned_only_where_it_cannot_be_printed() -> None:
    reporter = Reporter(io.StringIO())
    reporter.warn("few_samples", "x" * 300)
    reporter.warn("few_samples", "NUL \0, surrogate \ud800.")
    assert [w.detail for w in reporter.warnings] == ["x" * 300, "NUL �, surrogate �."]


def test_inspections_are_outcomes_too(scratch: Path) -> None:
    (scratch / "m").write_bytes(residual_cnn().SerializeToString())
    np.savez(scratch / "d.npz", **IMAGES)
    outcome = do(scratch, InspectModelTask(model="m"))
    assert outcome.ok.inspection.opset == 17
    outcome = do(scratch, InspectDatasetTask(dataset="d.npz", max_unpacked_bytes=1 << 20))
    assert outcome.ok.inspection.num_samples == 8
    assert [w.code for w in outcome.ok.warnings] == ["few_samples"]
    outcome = do(scratch, InspectDatasetTask(dataset="d.npz", max_unpacked_bytes=100))
    assert outcome.problem.code == "calibration_too_large"


NOISY = """
import os, sys
from pathlib import Path
import workers.pipeline.__main__ as process
import workers.ingestion.onnx_model.canonical as canonical

def shout(*given):
    print("a library prints")
    os.write(1, b"and so does its native code\\n")
    os.system("echo even a child")

canonical.refuse_unsound = shout
process.main(Path(sys.argv[1]))
"""


def test_nothing_that_a_library_prints_reaches_the_events(scratch: Path) -> None:
    (scratch / "m").write_bytes(residual_cnn().SerializeToString())
    outcome, events = run(scratch, InspectModelTask(model="m"), code=NOISY)
    assert isinstance(outcome, Finished)
    assert events == []


FAILING = """
import errno, sys
from pathlib import Path
import workers.pipeline.__main__ as process
import workers.pipeline.inspection.model as inspection

def fail(*args):
    raise {error}

inspection.inspect_model = fail
process.main(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("error", "code"),
    [("MemoryError", "out_of_memory"), ("OSError(errno.ENOSPC, 'full')", "insufficient_scratch")],
)
def test_the_machines_limits_are_problems_and_not_crashes(scratch: Path, error: str, code: str) -> None:
    outcome, _ = run(scratch, InspectModelTask(model="m"), code=FAILING.format(error=error))
    assert outcome.problem.code == code


def test_what_nobody_foresaw_is_a_problem_too(scratch: Path) -> None:
    outcome, _ = run(scratch, InspectModelTask(model="m"), code=FAILING.format(error="ZeroDivisionError"))
    assert outcome.problem.code == "inspection_crashed"
    assert "ZeroDivisionError" in outcome.problem.detail


def test_trouble_of_the_machine_is_a_crash_without_an_outcome(scratch: Path) -> None:
    with pytest.raises(AssertionError, match="Input/output"):
        run(scratch, InspectModelTask(model="m"), code=FAILING.format(error="OSError(errno.EIO, 'Input/output')"))
    assert not (scratch / "outcome.json").exists()


def test_the_protocol_is_light_enough_for_the_supervisor() -> None:
    code = "import sys, workers.protocol.tasks; print([m for m in ('numpy','onnx','torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
