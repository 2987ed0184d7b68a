"""Deliveries on a real database, sent to a real TLS server on loopback, which a setting allows here."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker
from standardwebhooks import Webhook as Verifier

from app.contracts.recipes.request import RecipeRequest
from app.contracts.status import JobStatus
from app.database import make_engine, make_sessions
from app.ids import new_id
from app.settings import Settings
from app.tables import DEFAULT_TENANT_ID, Dataset, File, Job, Model, Webhook, WebhookDelivery
from app.webhooks import egress
from app.webhooks.delivery import Post
from app.webhooks.egress import Egress
from app.webhooks.signing import secret_text
from tests.app.jobs.conftest import MakeJob
from tests.servers.postgres import Database
from tests.servers.webhook_receiver import Receiver, running_receiver, status

SECRET = bytes(range(32))

Sessions = sessionmaker[Session]
Send = Callable[[], None]


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    listening.received.clear()
    listening.answers.clear()
    return listening


@pytest.fixture
def send(database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Send:
    """Send what is due, and wait for its end, however slow the machine is."""
    monkeypatch.setattr(egress, "TOTAL_SECONDS", 120.0)
    way_out = Egress.of(Settings(webhook_allow_private=True, webhook_ca_file=receiver.ca_file))
    outcomes = Counter("attempts", "Attempts.", ["outcome"], registry=CollectorRegistry())

    async def once() -> None:
        engine = make_engine(database.url)
        post = Post(make_sessions(engine), way_out, outcomes)
        await post.send_due()
        await post.settled()
        await engine.dispose()

    return lambda: asyncio.run(once())


@pytest.fixture
def webhook(receiver: Receiver, sessions: Sessions) -> Iterator[Webhook]:
    types = ["job.succeeded", "job.failed"]
    row = Webhook(id=new_id("whk"), tenant_id=DEFAULT_TENANT_ID, url=receiver.url(), secret=SECRET, event_types=types)
    with sessions.begin() as session:
        session.add(row)
    yield row
    with sessions.begin() as session:
        session.execute(text("DELETE FROM webhooks"))


@pytest.fixture
def end_a_job(sessions: Sessions, make_job: MakeJob) -> Iterator[Callable[[JobStatus], Job]]:
    """Bring a job to its end; the database's trigger makes the deliveries."""
    owned = {"tenant_id": DEFAULT_TENANT_ID}
    file = File(id=new_id("file"), filename="f", purpose="model", format="onnx", bytes=1, sha256="0" * 64, **owned)
    about = {"name": "n", "file_id": file.id, "format": "onnx", **owned}
    model, dataset = Model(id=new_id("mdl"), **about), Dataset(id=new_id("ds"), **about)
    with sessions.begin() as session:
        session.add(file)
        session.flush()
        session.add_all([model, dataset])

    def end(how: JobStatus) -> Job:
        job = make_job(
            JobStatus.RUNNING,
            model_id=model.id,
            calibration_dataset_id=dataset.id,
            target="onnxruntime-cpu",
            recipe=RecipeRequest().resolve().model_dump(mode="json"),
            objective={},
            benchmark={},
        )
        with sessions.begin() as session:
            ended = {"status": how, "finished_at": datetime.now(UTC), "lease_owner": None, "lease_expires_at": None}
            session.execute(update(Job).where(Job.id == job.id).values(**ended))
        return job

    yield end
    with sessions.begin() as session:
        session.execute(text("DELETE FROM jobs"))
        for row in (model, dataset, file):
            session.delete(row)
            session.flush()


def _deliveries(sessions: Sessions) -> list[WebhookDelivery]:
    with sessions() as session:
        return list(session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)))


def _webhook(sessions: Sessions) -> Webhook:
    with sessions() as session:
        return session.scalars(select(Webhook)).one()


def _make_due(sessions: Sessions) -> None:
    """As if the pause had been over for long: a machine's clock may be set back by a moment between two looks at it."""
    due = "UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp() - interval '1 minute'"
    with sessions.begin() as session:
        session.execute(text(due))


EndAJob = Callable[[JobStatus], Job]


def test_an_ended_job_is_told_once_with_a_signature_that_holds(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    job = end_a_job(JobStatus.SUCCEEDED)
    send()
    send()
    (got,) = receiver.received
    event = Verifier(secret_text(SECRET)).verify(got.body, got.headers)
    assert event["type"] == "job.succeeded"
    assert (event["data"]["id"], event["data"]["status"], event["data"]["done"]) == (job.id, "succeeded", True)
    (delivery,) = _deliveries(sessions)
    assert got.headers["webhook-id"] == delivery.id
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("delivered", 1, 204)
    assert datetime.fromisoformat(event["timestamp"]) == delivery.created_at


def test_only_events_that_were_asked_for_are_sent(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    end_a_job(JobStatus.CANCELLED)
    send()
    assert (receiver.received, _deliveries(sessions)) == ([], [])


@pytest.mark.pace
def test_a_failure_is_repeated_later_under_the_same_id(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    receiver.answers.append(status(500))
    end_a_job(JobStatus.FAILED)
    send()
    (delivery,) = _deliveries(sessions)
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("waiting", 1, 500)
    assert delivery.failure == "The answer had the status 500."
    pause = (delivery.next_attempt_at - datetime.now(UTC)).total_seconds()
    assert 2 < pause < 5.5  # 5 s and a tenth, less the time since
    assert _webhook(sessions).failing_since is not None
    send()  # too early
    assert len(receiver.received) == 1
    _make_due(sessions)
    send()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert _deliveries(sessions)[0].status == "delivered"
    assert _webhook(sessions).failing_since is None


def test_the_eighth_failure_is_the_last(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    receiver.answers.extend([status(503)] * 3)
    end_a_job(JobStatus.FAILED)
    with sessions.begin() as session:
        session.execute(update(WebhookDelivery).values(attempts=6))
    seen = []
    for _ in range(3):
        _make_due(sessions)
        send()
        (delivery,) = _deliveries(sessions)
        seen.append((delivery.status, delivery.attempts))
    assert seen == [("waiting", 7), ("given_up", 8), ("given_up", 8)]  # seven pauses lie between eight attempts
    assert len(receiver.received) == 2


def test_a_webhook_that_fails_for_a_day_is_disabled_and_a_test_brings_it_back(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        day_ago = datetime.now(UTC) - timedelta(hours=24, seconds=1)
        session.execute(update(Webhook).values(failing_since=day_ago))
    receiver.answers.append(status(500))
    end_a_job(JobStatus.FAILED)
    send()
    assert _webhook(sessions).disabled_at is not None
    assert _deliveries(sessions)[0].status == "given_up"
    end_a_job(JobStatus.FAILED)  # nobody is told any more
    assert len(_deliveries(sessions)) == 1
    test = WebhookDelivery(
        id=new_id("whd"), tenant_id=DEFAULT_TENANT_ID, webhook_id=webhook.id, event_type="webhook.test"
    )
    with sessions.begin() as session:
        session.add(test)
    send()
    assert json.loads(receiver.received[-1].body)["data"] == {"webhook_id": webhook.id}
    assert _webhook(sessions).disabled_at is None
    assert _webhook(sessions).failing_since is None


def test_a_receiver_that_is_gone_for_good_is_believed(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    receiver.answers.append(status(410))
    end_a_job(JobStatus.FAILED)
    send()
    assert _webhook(sessions).disabled_at is not None


def test_a_sender_that_lost_its_claim_writes_nothing(
    webhook: Webhook, receiver: Receiver, end_a_job: EndAJob, send: Send, sessions: Sessions
) -> None:
    def answer_late(handler: BaseHTTPRequestHandler) -> None:
        with sessions.begin() as session:  # as another process does when the claim has run out
            session.execute(update(WebhookDelivery).values(attempts=2))
        status(204)(handler)

    receiver.answers.append(answer_late)
    end_a_job(JobStatus.SUCCEEDED)
    send()
    (delivery,) = _deliveries(sessions)
    assert (delivery.status, delivery.attempts) == ("waiting", 2)


def test_ids_of_deliveries_are_in_the_order_of_time(webhook: Webhook, end_a_job: EndAJob, sessions: Sessions) -> None:
    for _ in range(3):
        end_a_job(JobStatus.SUCCEEDED)
    ids = [delivery.id for delivery in _deliveries(sessions)]
    by_time = [delivery.id for delivery in sorted(_deliveries(sessions), key=lambda delivery: delivery.created_at)]
    assert len(ids) == 3
    assert ids == by_time
    assert all(len(i) == len(new_id("whd")) and i[16] == "7" for i in ids)  # the version of a UUIDv7
