"""Each invariant finds the history that breaks it, and nothing in one that keeps to it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import violations
from tests.faults.client_log import Action, Entry, Outcome
from tests.faults.evidence import Evidence, JobRow, Remains, StoredObject, StoredRow
from tests.faults.history import Change

CONTENT = b"a quantized model"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
KEY_OF_OBJECT = f"t/tnt_a/sha256/{DIGEST[:2]}/{DIGEST}"


def _change(before: str | None, after: str, **facts: Any) -> Change:
    defaults: dict[str, Any] = {"transaction": f"{before}-{after}", "token": 0}
    return Change("jobs", "job_1", "job_1", before=before, after=after, **{**defaults, **facts})


def _said(action: Action, outcome: Outcome = Outcome.OK, **facts: Any) -> Entry:
    return Entry(0.0, facts.pop("tenant", "tnt_a"), action, outcome, **facts)


HISTORY = (
    _change(None, "queued"),
    _change("queued", "running", token=1, attempt=1),
    _change("running", "running", token=1, attempt=1, stage="calibrate", fraction=0.5),
    _change("running", "queued", token=2, attempt=1),
    _change("queued", "running", token=3, attempt=2),
    # progress starts again with an attempt
    _change("running", "running", token=3, attempt=2, stage="calibrate", fraction=0.25),
    _change("running", "succeeded", token=4, attempt=2, has_result=True),
    Change("variants", "var_1", "job_1", transaction="running-succeeded"),
    Change("artifacts", "art_1", "job_1", transaction="running-succeeded"),
)

GOOD = Evidence(
    log=(
        _said(Action.SUBMIT, Outcome.INVOKE, key="k"),
        _said(Action.SUBMIT, Outcome.UNKNOWN, key="k", http_status=503),
        _said(Action.SUBMIT, key="k", job_id="job_1", http_status=202),
        _said(Action.READ, job_id="job_1", job_status="running", ids=frozenset({"job_1"})),
        _said(Action.READ, job_id="job_1", job_status="succeeded"),
        _said(Action.DOWNLOAD, job_id="job_1", artifact_id="art_1", sha256=DIGEST),
        _said(Action.PRY, tenant="tnt_b", job_id="job_1", http_status=404),
        _said(Action.PRY, tenant="tnt_b", job_id="job_1", http_status=503),
    ),
    jobs=(JobRow("job_1", "tnt_a", "quantize", "succeeded", 2, key="k"),),
    changes=HISTORY,
    artifacts=(StoredRow("art_1", "tnt_a", len(CONTENT), DIGEST, "job_1", "model.onnx"),),
    files=(StoredRow("file_1", "tnt_a", len(CONTENT), DIGEST, None, "upload.onnx"),),
    objects={KEY_OF_OBJECT: StoredObject(len(CONTENT), DIGEST)},
    owners={"job_1": "tnt_a", "art_1": "tnt_a"},
    remains=Remains(advisory_locks=1, advisory_locks_before=1, connections=9, connections_allowed=9),
    steps=(StoredRow("calibrate-1", "tnt_a", len(CONTENT), DIGEST, "job_1", "calibrate"),),
    reported_bytes={"tnt_a": 3 * len(CONTENT), "tnt_b": 0},  # a file, an artifact and a step
)


def _broken(evidence: Evidence) -> set[str]:
    return {violation.invariant for violation in violations(evidence)}


def _also(evidence: Evidence, *entries: Entry) -> Evidence:
    return replace(evidence, log=(*evidence.log, *entries))


def _with_job(**changes: Any) -> Evidence:
    return replace(GOOD, jobs=(replace(GOOD.jobs[0], **changes),))


def _with_history(*changes: Change) -> Evidence:
    return replace(GOOD, changes=changes)


def _with_remains(**changes: Any) -> Evidence:
    return replace(GOOD, remains=replace(GOOD.remains, **changes))


def test_a_history_that_keeps_every_promise_breaks_none() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    "evidence",
    [
        _with_job(status="running"),
        _with_job(id="job_2"),  # the acknowledged one has no row
        _with_history(*HISTORY, _change("succeeded", "failed", token=4)),  # a second end
        _with_history(*HISTORY[:-3]),  # a row that is terminal, and no change that made it so
        replace(GOOD, jobs=(*GOOD.jobs, JobRow("job_3", "tnt_a", "inspect_model", "queued", 0))),
    ],
)
def test_i1_an_acknowledged_job_that_does_not_end_once_is_found(evidence: Evidence) -> None:
    assert "I1" in _broken(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        _with_history(*HISTORY[:-3], _change("running", "succeeded", token=2, has_result=True)),
        _with_history(*HISTORY[:4], _change("queued", "running", token=2), *HISTORY[5:]),
        _with_history(*HISTORY[:4], _change("running", "queued", token=4, has_result=True), *HISTORY[4:]),
        # artifacts that another transaction than the job's end brought, which an old attempt would do
        _with_history(*HISTORY[:-1], Change("artifacts", "art_1", "job_1", transaction="somewhat-later")),
        _with_history(*HISTORY[:-3], _change("running", "failed", token=4), *HISTORY[-2:]),
    ],
)
def test_i2_an_old_attempt_that_takes_effect_is_found(evidence: Evidence) -> None:
    assert "I2" in _broken(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, objects={}),
        replace(GOOD, objects={KEY_OF_OBJECT: StoredObject(len(CONTENT) - 1, DIGEST)}),
        replace(GOOD, objects={KEY_OF_OBJECT: StoredObject(len(CONTENT), "0" * 64)}),
        replace(GOOD, artifacts=(*GOOD.artifacts, replace(GOOD.artifacts[0], id="art_2"))),  # the same name twice
        replace(GOOD, artifacts=()),  # a success without anything
        _with_job(status="cancelled"),  # an end without success, and artifacts all the same
        _also(GOOD, _said(Action.DOWNLOAD, job_id="job_1", artifact_id="art_1", sha256="0" * 64)),
    ],
)
def test_i3_a_wrong_missing_or_doubled_artifact_is_found(evidence: Evidence) -> None:
    assert "I3" in _broken(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        _with_history(_change(None, "queued"), _change("queued", "succeeded", token=1, has_result=True)),
        _with_history(*HISTORY[:3], _change("running", "running", token=1, stage="calibrate", fraction=0.4)),
        _with_history(_change(None, "running", token=1)),
    ],
)
def test_i4_a_change_that_is_not_allowed_is_found(evidence: Evidence) -> None:
    assert "I4" in _broken(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        _also(GOOD, _said(Action.SUBMIT, key="k", job_id="job_2", http_status=202)),
        # the client was told of one only: the other was made by a request whose answer was lost
        replace(GOOD, jobs=(*GOOD.jobs, replace(GOOD.jobs[0], id="job_2"))),
    ],
)
def test_i5_two_jobs_of_one_key_are_found(evidence: Evidence) -> None:
    assert "I5" in _broken(evidence)


def test_i5_the_same_key_of_two_tenants_makes_two_jobs() -> None:
    others = replace(GOOD.jobs[0], id="job_2", tenant="tnt_b")
    assert "I5" not in _broken(replace(GOOD, jobs=(*GOOD.jobs, others)))


@pytest.mark.parametrize(
    "evidence",
    [
        _with_history(*HISTORY[:1], _change("queued", "cancelled"), _change("cancelled", "cancelled", token=1)),
        _also(
            GOOD,
            _said(Action.READ, job_id="job_9", job_status="cancelled"),
            _said(Action.READ, job_id="job_9", job_status="succeeded"),
        ),
    ],
)
def test_i6_a_cancelled_job_that_changes_is_found(evidence: Evidence) -> None:
    assert "I6" in _broken(evidence)


@pytest.mark.parametrize(
    "entry",
    [
        _said(Action.READ, tenant="tnt_b", ids=frozenset({"art_1"})),
        _said(Action.PRY, tenant="tnt_b", job_id="job_1", http_status=200),
        _said(Action.PRY, tenant="tnt_b", job_id="job_1", http_status=403),  # says that there is such a job
    ],
)
def test_i7_a_glance_at_another_tenants_things_is_found(entry: Entry) -> None:
    assert _broken(_also(GOOD, entry)) == {"I7"}


@pytest.mark.parametrize(
    "evidence",
    [
        _with_remains(job_processes=("python -m workers.pipeline /scratch/jobs/job_1-1",)),
        _with_remains(scratch=("jobs/job_1-1",)),
        _with_remains(multipart_uploads=("here/t/tnt_a/sha256/ab/abc",)),
        _with_remains(advisory_locks=2),
        _with_remains(connections=10),
        _with_remains(open_transactions=1),
        _with_job(lease_owner="somebody"),
    ],
)
def test_i8_what_is_left_behind_is_found(evidence: Evidence) -> None:
    assert _broken(evidence) == {"I8"}


@pytest.mark.parametrize("reported", [2 * len(CONTENT), 0, 4 * len(CONTENT)])
def test_i9_a_counter_that_drifted_is_found(reported: int) -> None:
    assert _broken(replace(GOOD, reported_bytes={"tnt_a": reported})) == {"I9"}
