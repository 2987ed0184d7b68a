from app.contracts.status import Stage
from workers.protocol.events import ProgressEvent, StageEvent, WarningEvent
from workers.supervision.stages import StageRecord

STAGES = (Stage.FETCH, Stage.CALIBRATE, Stage.PACKAGE)


def test_stages_are_pending_then_running_then_succeeded() -> None:
    record = StageRecord(STAGES)
    assert [s["status"] for s in record.shown()] == ["pending", "pending", "pending"]
    record.enter(Stage.FETCH)
    record.take(StageEvent(stage=Stage.CALIBRATE))
    assert [s["status"] for s in record.shown()] == ["succeeded", "running", "pending"]
    assert [s["status"] for s in record.shown(failed=True)] == ["succeeded", "failed", "pending"]
    assert [s["status"] for s in record.finished()] == ["succeeded", "succeeded", "pending"]


def test_a_stage_that_only_some_jobs_have_is_shown_once_it_is_entered() -> None:
    record = StageRecord(STAGES)
    record.enter(Stage.FETCH)
    record.enter(Stage.EXPORT)
    shown = [(s["name"], s["status"]) for s in record.shown()]
    assert shown[:2] == [("fetch", "succeeded"), ("calibrate", "pending")]
    assert shown[2:] == [("package", "pending"), ("export", "running")]
    assert [s["name"] for s in record.finished()] == ["fetch", "calibrate", "package", "export"]


def test_progress_belongs_to_its_stage() -> None:
    record = StageRecord(STAGES)
    record.enter(Stage.CALIBRATE)
    record.take(ProgressEvent(completed=3, total=4, unit="samples"))
    assert record.progress == {"fraction": 0.75, "completed": 3, "total": 4, "unit": "samples"}
    record.enter(Stage.PACKAGE)
    assert record.progress is None


def test_progress_beyond_its_total_and_of_nothing_stays_between_0_and_1() -> None:
    record = StageRecord(STAGES)
    for completed, total, fraction in ((9, 4, 1.0), (0, 0, 0.0)):
        record.take(ProgressEvent(completed=completed, total=total, unit="samples"))
        assert record.progress is not None
        assert record.progress["fraction"] == fraction


def test_warnings_are_kept() -> None:
    record = StageRecord(STAGES)
    record.take(WarningEvent(code="few_samples", detail="Only 3."))
    assert record.warnings == [{"code": "few_samples", "detail": "Only 3."}]
