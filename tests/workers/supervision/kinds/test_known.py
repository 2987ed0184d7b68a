"""Whatever a job is, the supervision knows what to do."""

import pytest

from app.contracts.status import JobKind
from app.tables import Job
from workers.supervision.kinds.kind import AnyKind, Errand
from workers.supervision.kinds.known import KINDS, kind_of


def named(those: set[AnyKind]) -> set[str]:
    return {name for name, kind in KINDS.items() if kind in those}


@pytest.mark.parametrize("name", JobKind)
def test_every_kind_of_job_is_known(name: JobKind) -> None:
    assert kind_of(Job(kind=name.value)) is KINDS[name]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_job_shows_its_stages_from_its_start(kind: AnyKind) -> None:
    assert kind.stages[0] == "fetch"
    assert len(set(kind.stages)) == len(kind.stages)


def test_the_stages_of_inspections_are_few_and_those_of_quantization_all_but_the_export() -> None:
    short = ("fetch", "inspect")
    assert {name: kind.stages for name, kind in KINDS.items()} == {
        "quantize": ("fetch", "inspect", "baseline", "calibrate", "quantize", "evaluate", "benchmark", "package"),
        "inspect_model": short,
        "inspect_dataset": short,
        "verify_upload": short,
    }


def test_nothing_that_parses_uploads_takes_a_gpu() -> None:
    assert named({kind for kind in KINDS.values() if kind.takes_gpu}) == {"quantize"}


def test_only_a_verification_has_no_process_and_only_quantization_keeps_steps() -> None:
    errands = {kind for kind in KINDS.values() if isinstance(kind, Errand)}
    assert named(errands) == {"verify_upload"}
    keeps = {kind for kind in KINDS.values() if not isinstance(kind, Errand) and kind.keeps_steps}
    assert named(keeps) == {"quantize"}


def test_no_two_kinds_have_the_same_result() -> None:
    """The outcome of another kind of job would be taken for that of this one."""
    results = [kind.result for kind in KINDS.values() if not isinstance(kind, Errand)]
    assert len(set(results)) == len(results) == 3
