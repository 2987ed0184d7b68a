"""What workers add to a job's events, on real Postgres."""

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.jobs import events
from app.jobs.events import MAX_MESSAGE_BYTES, NewEvent, log_line
from app.jobs.lease import Lease
from app.tables import Job, JobEvent
from tests.app.jobs.conftest import MakeJob

Sessions = sessionmaker[Session]


def _numbers(sessions: Sessions, statement: object) -> list[int]:
    with sessions.begin() as session:
        return sorted(session.scalars(statement))  # type: ignore[call-overload]


def _told(sessions: Sessions, job: Job) -> list[tuple[int, str, object]]:
    with sessions() as session:
        rows = session.execute(
            select(JobEvent.seq, JobEvent.type, JobEvent.data).where(JobEvent.job_id == job.id).order_by(JobEvent.seq)
        )
        return [(seq, kind, data.get("message", data.get("n"))) for seq, kind, data in rows]


def test_events_follow_the_last_one_in_their_order(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    held = Lease(job.id, 1)
    assert _numbers(sessions, events.append(held, [NewEvent("variant", {"n": n}) for n in range(3)])) == [2, 3, 4]
    assert _numbers(sessions, events.append(held, [log_line("info", "last", stage=None)])) == [5]
    assert _told(sessions, job)[1:] == [(2, "variant", 0), (3, "variant", 1), (4, "variant", 2), (5, "log", "last")]
    with sessions() as session:
        assert session.get_one(Job, job.id).last_event == 5


def test_nothing_is_added_without_the_lease(sessions: Sessions, make_job: MakeJob) -> None:
    job, over = make_job(JobStatus.RUNNING), make_job(JobStatus.SUCCEEDED)
    for lease in (Lease(job.id, 2), Lease(over.id, 0)):
        assert _numbers(sessions, events.append(lease, [log_line("info", "late", stage=None)])) == []
        assert _numbers(sessions, events.append_log(lease, [log_line("info", "late", stage=None)], max_events=9)) == []
    assert len(_told(sessions, job)) == len(_told(sessions, over)) == 1


def test_a_log_is_cut_off_with_one_line_that_says_so(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    held = Lease(job.id, 1)
    lines = [log_line("info", f"line {n}", stage=None) for n in range(3)]
    end = "The log ends here: a job may have 6 events."
    assert _numbers(sessions, events.append_log(held, lines, max_events=6)) == [2, 3, 4]
    assert _numbers(sessions, events.append_log(held, lines, max_events=6)) == [5, 6]
    assert _numbers(sessions, events.append_log(held, lines, max_events=6)) == []
    assert [text for _, kind, text in _told(sessions, job) if kind == "log"] == [
        *("line 0", "line 1", "line 2"),
        *("line 0", end),
    ]
    # results are told all the same, and do not bring the log back
    assert _numbers(sessions, events.append(held, [NewEvent("variant", {"n": 1})])) == [7]
    assert _numbers(sessions, events.append_log(held, lines, max_events=6)) == []


def test_other_events_may_use_the_room_up(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    held = Lease(job.id, 1)
    _numbers(sessions, events.append(held, [NewEvent("variant", {"n": n}) for n in range(5)]))  # 2 to 6
    line = [log_line("info", "no room", stage=None)]
    assert _numbers(sessions, events.append_log(held, line, max_events=4)) == [7]
    assert _numbers(sessions, events.append_log(held, line, max_events=4)) == []
    assert _told(sessions, job)[-1] == (7, "log", "The log ends here: a job may have 4 events.")


def test_a_line_is_cut_to_its_bytes_and_stored_without_nul(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    lines = [log_line("info", "\u00e4" * 2000, stage="fetch"), log_line("info", "a\0b", stage=None)]
    assert _numbers(sessions, events.append(Lease(job.id, 1), lines)) == [2, 3]
    (_, _, long), (_, _, odd) = _told(sessions, job)[1:]
    # two bytes for each umlaut, three for the ellipsis: 1022 of them fit into 2048
    assert long == "\u00e4" * 1022 + "\u2026"
    assert len(str(long).encode()) <= MAX_MESSAGE_BYTES
    assert odd == "a\ufffdb"
