"""Only statistics of exactly the tensors that this job observes are taken."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import prepared_for
from tests.workers.quantization.small_models import residual_cnn
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.methods.static.statistics_form import StatisticsForm
from workers.pipeline.steps.step_file import StepContent, StepUnusable
from workers.protocol.gathering import gathering


def empty(**recipe: Any) -> Statistics:
    wanted = PRESETS["int8-accurate"].model_copy(update={"equalize": "off", **recipe})
    prepared = prepared_for(residual_cnn(), wanted)
    return empty_statistics(prepared.model.graph, prepared.placement, gathering(wanted))


def filled() -> Statistics:
    found = empty()
    rng = np.random.default_rng(0)
    for observer in found.ranges.values():
        observer.observe(rng.normal(size=(20,)))
    for moments in found.moments.values():
        groups, columns, _ = moments.sums.shape
        moments.observe(rng.normal(size=(groups, 5, columns)).astype(np.float32))
    return replace(found, executor="onnxruntime-cpu")


FORM = StatisticsForm((empty(),))


def packed(statistics: Statistics) -> StepContent:
    return FORM.packed((statistics,))


def test_all_observers_come_back_under_their_own_names() -> None:
    before = filled()
    (after,) = FORM.unpacked(packed(before))
    assert after.executor == "onnxruntime-cpu"
    assert list(after.ranges) == list(before.ranges)
    for name, observer in before.ranges.items():
        np.testing.assert_array_equal(after.ranges[name].counts, observer.counts)
        assert (after.ranges[name].low, after.ranges[name].high) == (observer.low, observer.high)
    assert list(after.moments) == list(before.moments)
    assert len(after.moments) == 4
    for key, moments in before.moments.items():
        np.testing.assert_array_equal(after.moments[key].sums, moments.sums)


@pytest.mark.parametrize("recipe", [{"nodes_to_exclude": ("stem",)}, {"rounding": "nearest"}])
def test_statistics_of_other_tensors_are_refused(recipe: Any) -> None:
    with pytest.raises(StepUnusable):
        StatisticsForm((empty(**recipe),)).unpacked(packed(filled()))


def test_parts_come_back_apart_and_in_no_other_number() -> None:
    two = StatisticsForm((empty(), empty()))
    first, second = filled(), empty()
    one, other = two.unpacked(two.packed((first, second)))
    assert (one.ranges["x"].total, other.ranges["x"].total) == (20, 0)
    for form, content in [(FORM, two.packed((first, second))), (two, packed(first))]:
        with pytest.raises(StepUnusable):
            form.unpacked(content)


def changed_facts(**changes: Any) -> StepContent:
    content = packed(filled())
    return StepContent({**content.facts, **changes}, content.arrays)


def changed_arrays(**changes: Any) -> StepContent:
    content = packed(filled())
    names = {name.removeprefix("part").replace("_", "."): array for name, array in changes.items()}
    return StepContent(content.facts, {k: a for k, a in {**content.arrays, **names}.items() if a is not None})


@pytest.mark.parametrize(
    "content",
    [
        changed_facts(executors=["abacus"]),
        changed_facts(executors="onnxruntime-cpu"),
        changed_facts(names=[{"ranges": ["x"]}]),
        changed_facts(more=1),
        StepContent({}, {}),
        changed_arrays(part0_ranges_0_counts=None),
        changed_arrays(part0_ranges_99_counts=np.zeros(1, np.int64)),
        changed_arrays(unnumbered=np.zeros(1, np.int64)),
        changed_arrays(part0_moments_0_sums=np.zeros((1, 2, 2))),
    ],
)
def test_what_no_calibration_would_have_left_is_refused(content: StepContent) -> None:
    with pytest.raises(StepUnusable):
        FORM.unpacked(content)


def test_statistics_that_calibration_would_have_refused_are_refused() -> None:
    broken = filled()
    next(iter(broken.ranges.values())).nonfinite = 1
    with pytest.raises(StepUnusable, match="refused"):
        FORM.unpacked(packed(broken))
