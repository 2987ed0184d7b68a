"""A job that finds results of steps gives the same files, to the last bit, as one that computes everything."""

import io
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from app.contracts.inspection import Notice
from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from app.contracts.result import QuantizeOutcome
from tests.workers.pipeline.jobs import attention, sentences
from workers.pipeline.__main__ import attempt
from workers.pipeline.steps import step_file
from workers.pipeline.steps.step_file import StepContent, read_step, write_step
from workers.protocol.outcome import Finished, Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask

SENTENCES = sentences(280)  # enough for 64 of them to be held out
DIGESTS = {"model_sha256": "a" * 64, "calibration_sha256": "b" * 64}
ACCURATE = ("calibrate", "sensitivity", "search", "candidate", "quantize")


class Job(NamedTuple):
    folder: Path
    outcome: QuantizeOutcome
    events: list[dict[str, Any]]

    def named(self, event: str) -> list[str]:
        return [e["name"] for e in self.events if e["event"] == event]

    @property
    def logged(self) -> str:
        return "\n".join(e["message"] for e in self.events if e["event"] == "log")

    @property
    def models(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "outputs").glob("*.onnx")}

    def step(self, name: str) -> Path:
        """Of candidates, the only one."""
        (found,) = (self.folder / "steps").glob(f"{name}.*safetensors")
        return found

    def made(self) -> list[Path]:
        """What a job needs that need not make its candidates."""
        return [*(self.folder / "steps").glob("candidate.*"), self.step("quantize")]


def job(
    folder: Path,
    *,
    preset: Any = "int8-accurate",
    data: Any = SENTENCES,
    found: Any = (),
    job_id: str = "job_1",
    **recipe: Any,
) -> Job:
    """A job on the attention model. found: files of steps that are there before it starts."""
    (folder / "steps").mkdir(parents=True)
    for path in found:
        shutil.copy(path, folder / "steps")
    (folder / "model.onnx").write_bytes(attention().SerializeToString())
    np.savez(folder / "data.npz", **data)
    task = QuantizeTask(
        model="model.onnx", calibration="data.npz", evaluation="data.npz", model_name="m", target="onnxruntime-cpu",
        recipe=PRESETS[preset].model_copy(update=recipe), objective=Objective(),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1, provenance={"job_id": job_id, **DIGESTS},
    )  # fmt: skip
    voice = io.StringIO()
    outcome = attempt(task, folder, Reporter(voice))
    assert isinstance(outcome, Finished), outcome
    assert isinstance(outcome.ok, Quantized)
    return Job(folder, outcome.ok.outcome, [json.loads(line) for line in voice.getvalue().splitlines()])


@pytest.fixture(scope="module")
def accurate(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return job(tmp_path_factory.mktemp("accurate") / "job")


def without_timings(outcome: QuantizeOutcome) -> Any:
    told = outcome.model_dump(exclude={"variants": {"__all__": {"metrics"}}, "verdict": True, "best": True})
    told["warnings"] = steady(outcome)
    return {name: value for name, value in told.items() if name not in {"layers", "pareto"}}


def steady(outcome: QuantizeOutcome) -> list[Notice]:
    """Warnings that do not depend on the time that was measured, nor on what was chosen by it."""
    return [w for w in outcome.warnings if w.code not in {"slower_than_float", "larger_than_float"}]


def test_every_step_that_was_computed_is_announced_once_it_is_complete(accurate: Job) -> None:
    assert accurate.named("step") == list(ACCURATE)
    assert accurate.named("reused") == []
    files = [accurate.step(name).name for name in ACCURATE]
    assert {p.name for p in (accurate.folder / "steps").iterdir()} == set(files)
    assert [e["file"] for e in accurate.events if e["event"] == "step"] == files


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_attempt_goes_on_where_the_last_one_died(tmp_path: Path, accurate: Job, count: int) -> None:
    again = job(tmp_path / "job", found=[accurate.step(name) for name in ACCURATE[:count]])
    assert again.named("reused") == list(ACCURATE[:count])
    assert again.named("step") == list(ACCURATE[count:])
    assert again.models == accurate.models
    assert without_timings(again.outcome) == without_timings(accurate.outcome)


def test_a_candidate_needs_nothing_that_it_was_made_from(tmp_path: Path, accurate: Job) -> None:
    again = job(tmp_path / "job", found=[accurate.step("candidate")])
    assert (again.named("reused"), again.named("step")) == (["candidate"], ["quantize"])
    assert again.models == accurate.models


def test_finished_candidates_need_nothing_else(tmp_path: Path, accurate: Job) -> None:
    again = job(tmp_path / "job", found=accurate.made())
    assert again.named("reused") == ["candidate", "quantize"]
    assert again.named("step") == []
    assert again.models == accurate.models
    assert without_timings(again.outcome) == without_timings(accurate.outcome)
    stages = [e["stage"] for e in again.events if e["event"] == "stage"]
    assert stages == [e["stage"] for e in accurate.events if e["event"] == "stage"]


def test_candidates_of_another_job_say_whose_they_are_now(tmp_path: Path, accurate: Job) -> None:
    taken = job(tmp_path / "taken", found=accurate.made(), job_id="job_2")
    computed = job(tmp_path / "computed", job_id="job_2")
    assert taken.models == computed.models
    facts = [{p.key: p.value for p in onnx.load_model_from_string(m).metadata_props} for m in taken.models.values()]
    assert {f["lowbit.job_id"] for f in facts} == {"job_2"}


@pytest.mark.parametrize("recipe", [{"per_channel": False}, {"bias_correction": False, "runtime_form": False}])
def test_a_job_with_another_recipe_shares_what_that_does_not_change(tmp_path: Path, accurate: Job, recipe: Any) -> None:
    taken = job(tmp_path / "taken", found=[accurate.step(name) for name in ACCURATE[:3]], **recipe)
    computed = job(tmp_path / "computed", **recipe)
    assert taken.named("reused") == list(ACCURATE[:3])
    assert taken.models == computed.models != accurate.models
    assert without_timings(taken.outcome) == without_timings(computed.outcome)


@pytest.mark.parametrize(("method", "smoothing"), [("percentile", "off"), ("mse", 0.5), ("moving_average", "off")])
def test_statistics_of_every_kind_come_back_exactly(tmp_path: Path, method: Any, smoothing: Any) -> None:
    recipe = {"calibration_method": method, "smoothquant_alpha": smoothing}
    first = job(tmp_path / "first", preset="int8-fast", **recipe)
    second = job(tmp_path / "second", preset="int8-fast", found=[first.step("calibrate")], **recipe)
    assert second.named("reused") == ["calibrate"]
    assert second.models == first.models


@pytest.mark.parametrize("preset", ["int8-dynamic", "float16"])
def test_candidates_without_calibration_are_kept_too(tmp_path: Path, preset: Any) -> None:
    first = job(tmp_path / "first", preset=preset)
    second = job(tmp_path / "second", preset=preset, found=first.made())
    assert first.named("step") == second.named("reused") == ["candidate", "quantize"]
    assert second.models == first.models


def test_warnings_of_a_step_come_with_its_result(tmp_path: Path) -> None:
    data = sentences(20)
    data["attention_mask"][:8] = 0  # a whole batch of padding
    first = job(tmp_path / "first", preset="int8-fast", data=data)
    assert "empty_mask" in {w.code for w in first.outcome.warnings}
    for found in ([first.step("calibrate")], first.made()):
        again = job(tmp_path / str(len(found)), preset="int8-fast", data=data, found=found)
        assert len(again.named("reused")) == len(found)
        assert steady(again.outcome) == steady(first.outcome)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("candidate", "cut"), ("candidate", "notices"), *((name, "result") for name in ACCURATE)],
)
def test_a_result_that_cannot_be_used_is_computed_again(tmp_path: Path, accurate: Job, name: str, damage: str) -> None:
    path = tmp_path / accurate.step(name).name
    content = read_step(accurate.step(name))
    changed = {"notices": {"notices": [{"code": 1}]}, "result": {"result": ["?"]}}.get(damage, {})
    write_step(path, StepContent({**content.facts, **changed}, content.arrays))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    again = job(tmp_path / "job", found=[path])
    assert again.named("reused") == []
    assert again.named("step") == list(ACCURATE)
    # of the last one nobody asks where a candidate was missing
    assert (f"The stored result of {name}" in again.logged) == (name != "quantize")
    assert again.models == accurate.models


def test_a_result_of_other_inputs_is_not_taken_though_its_tensors_are_the_same(tmp_path: Path, accurate: Job) -> None:
    other = job(tmp_path / "job", found=[accurate.step("calibrate")], calibration_samples=270)
    assert other.named("reused") == []
    assert "The stored result of calibrate cannot be used" in other.logged


PERCENTILES = {"calibration_method": "percentile", "percentiles": (99.0, 99.9, 100.0)}


def test_a_job_that_died_keeps_the_candidates_that_it_had(tmp_path: Path) -> None:
    whole = job(tmp_path / "whole", preset="int8-balanced", **PERCENTILES)
    assert whole.named("step") == ["calibrate", *["candidate"] * 3, "quantize"]
    parts = [e["file"] for e in whole.events if e["event"] == "step" and e["name"] == "candidate"]
    survivors = [whole.folder / "steps" / name for name in ("calibrate.safetensors", *parts[:2])]
    again = job(tmp_path / "again", preset="int8-balanced", found=survivors, **PERCENTILES)
    assert sorted(again.named("reused")) == ["calibrate", "candidate", "candidate"]
    assert again.named("step") == ["candidate", "quantize"]
    assert again.models == whole.models
    assert without_timings(again.outcome) == without_timings(whole.outcome)


def test_a_job_that_does_not_say_what_it_works_on_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(DIGESTS, "model_sha256")
    done = job(tmp_path / "job", preset="int8-fast")
    assert done.named("step") == []
    assert list((done.folder / "steps").iterdir()) == []


def test_a_result_too_large_to_keep_is_said_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_file, "MAX_STEP_BYTES", 100)
    done = job(tmp_path / "job", preset="int8-fast")
    assert done.named("step") == []
    assert "The result of calibrate is not kept for others: it would take" in done.logged
