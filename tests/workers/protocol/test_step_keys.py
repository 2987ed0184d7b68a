"""Two jobs share a step exactly when nothing that influences its result differs."""

import subprocess
import sys
from typing import Any

import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.static import StaticRecipe
from app.contracts.recipes.stored import stored_recipe
from workers.protocol import settled
from workers.protocol import step_keys as steps
from workers.protocol.step_keys import StepKey, StepKeys, part_key, step_keys
from workers.protocol.tasks import QuantizeTask

DIGESTS = {"model_sha256": "a" * 64, "calibration_sha256": "b" * 64, "evaluation_sha256": "c" * 64}


def task(preset: Any = "int8-accurate", *, recipe: Any = None, provenance: Any = None, **changes: Any) -> QuantizeTask:
    fields: dict[str, Any] = {
        "model": "model.onnx",
        "calibration": "calibration.npz",
        "model_name": "m",
        "target": "onnxruntime-cpu",
        "recipe": PRESETS[preset].model_copy(update=recipe or {}),
        "objective": Objective(),
        "benchmark": Benchmark(),
        "threads": 1,
        "provenance": {"job_id": "job_1", **DIGESTS, **(provenance or {})},
    }
    return QuantizeTask(**{**fields, **changes})


def keys_of(wanted: QuantizeTask) -> StepKeys:
    found = step_keys(wanted)
    assert found is not None
    return found


def steps_of(wanted: QuantizeTask) -> tuple[StepKey, ...]:
    return keys_of(wanted).whole


def shared(one: QuantizeTask, other: QuantizeTask) -> set[str]:
    return {step.name for step in set(steps_of(one)) & set(steps_of(other))}


def test_a_job_has_the_steps_that_its_method_takes() -> None:
    assert [s.name for s in steps_of(task("int8-accurate"))] == ["calibrate", "sensitivity", "search", "quantize"]
    assert [s.name for s in steps_of(task("int8-fast"))] == ["calibrate", "quantize"]
    assert [s.name for s in steps_of(task("int8-dynamic"))] == ["quantize"]
    assert [s.name for s in steps_of(task("float16"))] == ["quantize"]
    keys = [s.key for s in steps_of(task())]
    assert len(set(keys)) == 4
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


def test_a_task_that_does_not_say_what_it_works_on_has_none() -> None:
    assert step_keys(task().model_copy(update={"provenance": {"model_sha256": "a"}})) is None


ALL = {"calibrate", "sensitivity", "search", "quantize"}


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": {"job_id": "job_2", "evaluation_sha256": "d" * 64}},
        {"objective": Objective(max_accuracy_drop=0.5)},
        {"benchmark": Benchmark(batch_sizes=(4,))},
        {"model_name": "another name for the same model"},
        {"evaluation": "evaluation.npz"},
        {"recipe": {"preset": "int8-balanced"}},
    ],
)
def test_what_comes_after_the_candidates_or_only_names_them_influences_no_step(changes: Any) -> None:
    assert shared(task(), task(**changes)) == ALL


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": {"model_sha256": "d" * 64}},
        {"provenance": {"calibration_sha256": "d" * 64}},
        {"target": "tensorrt"},
        {"threads": 2},
        {"seed": 7},
        {"recipe": {"calibration_samples": 10}},
        {"recipe": {"equalize": "off"}},
        {"recipe": {"op_types_to_exclude": ("Conv",)}},
        {"recipe": {"nodes_to_exclude": ("stem",)}},
        {"recipe": {"rounding": "nearest"}},
        {"recipe": {"smoothquant_alpha": "off"}},
        {"recipe": {"calibration_method": "min_max"}},
    ],
)
def test_what_shapes_the_statistics_influences_every_step(changes: Any) -> None:
    assert shared(task(), task(**changes)) == set()


@pytest.mark.parametrize(
    ("changes", "common"),
    [
        ({"per_channel": False}, ALL - {"quantize"}),
        ({"reduce_range": False}, ALL - {"quantize"}),
        ({"bias_correction": False}, ALL - {"quantize"}),
        ({"runtime_form": False}, ALL - {"quantize"}),
        ({"smoothquant_alpha": 0.5}, {"calibrate", "sensitivity"}),
    ],
)
def test_what_shapes_the_integers_leaves_the_statistics_to_be_shared(changes: Any, common: Any) -> None:
    assert shared(task(), task(recipe=changes)) == common


@pytest.mark.parametrize("preset", ["int8-accurate", "int8-dynamic"])
def test_what_is_left_to_the_processor_is_found_under_what_it_means_there(
    preset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, limited, whole = (task(preset, recipe={"reduce_range": value}) for value in ("auto", True, False))
    for has_vnni, same, other in [(True, whole, limited), (False, limited, whole)]:
        monkeypatch.setattr(settled, "cpu_has_vnni", lambda found=has_vnni: found)
        assert keys_of(left) == keys_of(same)
        assert keys_of(left).candidates != keys_of(other).candidates
        assert "quantize" not in shared(left, other)


def test_ranges_of_any_kind_come_from_the_same_statistics() -> None:
    methods = [{"calibration_method": m} for m in ("min_max", "percentile", "entropy", "mse")]
    found = {steps_of(task("int8-fast", recipe=m))[0] for m in (*methods, {"percentiles": (99.0,)})}
    assert len(found) == 1
    assert shared(task("int8-fast"), task("int8-fast", recipe={"calibration_method": "moving_average"})) == set()


def test_the_order_in_which_operators_are_excluded_shapes_nothing() -> None:
    one, other = ({"nodes_to_exclude": names} for names in (("a", "b"), ("b", "a", "a")))
    assert "calibrate" in shared(task(recipe=one), task(recipe=other))


def test_no_calibration_data_influences_a_method_that_reads_none() -> None:
    assert shared(task("int8-dynamic"), task("int8-dynamic", provenance={"calibration_sha256": "d" * 64})) == {
        "quantize"
    }


OTHER: dict[str, Any] = {
    "calibration_method": "mse", "percentiles": (95.0,), "calibration_samples": 3,
    "per_channel": False, "reduce_range": False, "equalize": "on", "smoothquant_alpha": 0.25, "rounding": "nearest",
    "bias_correction": False, "runtime_form": False, "op_types_to_exclude": ("Conv",), "nodes_to_exclude": ("n",),
}  # fmt: skip


FIXED = {"preset", "method", "weights_dtype", "activations_dtype"}


@pytest.mark.parametrize("field", sorted(set(StaticRecipe.model_fields) - FIXED))
def test_every_choice_of_a_recipe_influences_the_candidates(field: str) -> None:
    assert "quantize" not in shared(task(), task(recipe={field: OTHER[field]}))


def test_candidates_are_a_family_for_each_recipe_and_each_has_a_key_by_its_name() -> None:
    one, other = keys_of(task()).candidates, keys_of(task(recipe={"bias_correction": False})).candidates
    assert one != other
    assert one == keys_of(task(recipe={"preset": "int8-fast"})).candidates
    keys = {part_key(family, part) for family in (one, other) for part in ("a", "b")}
    assert len(keys) == 4
    assert keys.isdisjoint({one, other, *(step.key for step in steps_of(task()))})


def test_what_a_method_does_not_read_influences_none_of_its_steps() -> None:
    for changes in ({"threads": 2}, {"seed": 7}):
        assert shared(task("int8-dynamic"), task("int8-dynamic", **changes)) == {"quantize"}


def test_what_a_method_does_not_read_does_not_tell_its_jobs_apart() -> None:
    """Rows from before hold all fields for every method, with whatever values."""
    now = PRESETS["int8-dynamic"]
    before = stored_recipe({**now.model_dump(mode="json"), "rounding": "gptq", "percentiles": [99.0]})
    assert steps_of(task("int8-dynamic")) == steps_of(task().model_copy(update={"recipe": before}))
    assert steps_of(task("int8-dynamic")) != steps_of(task("float16"))


@pytest.mark.parametrize("name", ["calibrate", "sensitivity", "search", "quantize"])
def test_new_code_of_a_step_makes_it_and_all_that_follow_be_done_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps_of(task())
    monkeypatch.setitem(steps.VERSIONS, name, 1000)  # type: ignore[arg-type]
    names = [step.name for step in before]
    kept = {step.name for step in set(before) & set(steps_of(task()))}
    assert kept == set(names[: names.index(name)])  # type: ignore[arg-type]


def test_another_release_of_a_runtime_makes_everything_be_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = steps_of(task())
    monkeypatch.setattr(steps, "_releases", lambda: {"onnxruntime": "99"})
    assert set(before).isdisjoint(steps_of(task()))


def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "import sys\nfrom workers.protocol.step_keys import step_keys\n"
        "from workers.protocol.tasks import QuantizeTask\n"
        "print(*[s.key for s in step_keys(QuantizeTask.model_validate_json(sys.stdin.read())).whole])\n"
        "assert not {'numpy', 'onnx', 'onnxruntime', 'torch', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=task().model_dump_json(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [s.key for s in steps_of(task())]
