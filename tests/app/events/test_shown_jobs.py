"""Answers about a job are kept while it does not change, and never given after a change its reader could know of."""

import time
from collections.abc import Callable

from sqlalchemy import text

from tests.app.events.conftest import Api, Tenancy

PATIENCE_SECONDS = 5.0


def test_a_change_by_a_worker_shows_at_once(api: Api, tenant: Tenancy) -> None:
    job = tenant.job()
    with api.client(tenant.key) as client:
        for completed in range(1, 30):
            client.get(f"/v1/jobs/{job.id}")  # kept from here on
            _progress(tenant, job.id, completed)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (found := client.get(f"/v1/jobs/{job.id}").json()["progress"]["completed"]) != completed:
                assert found == completed - 1
                assert time.monotonic() < deadline


def test_who_cancels_sees_it_cancelled_with_the_next_request(api: Api, tenant: Tenancy) -> None:
    with api.client(tenant.key) as client:
        for _ in range(30):
            job = tenant.job()
            assert client.get(f"/v1/jobs/{job.id}").json()["status"] == "queued"
            assert client.post(f"/v1/jobs/{job.id}/cancel").json()["status"] == "cancelled"
            assert client.get(f"/v1/jobs/{job.id}").json()["status"] == "cancelled"


def test_a_kept_answer_is_not_given_to_another_tenant(
    api: Api, tenant: Tenancy, make_tenant: Callable[[], Tenancy]
) -> None:
    job = tenant.job()
    with api.client(tenant.key) as owner, api.client(make_tenant().key) as stranger:
        assert owner.get(f"/v1/jobs/{job.id}").status_code == 200
        assert stranger.get(f"/v1/jobs/{job.id}").json()["code"] == "not_found"


def test_an_answer_is_not_kept_beyond_a_second_when_nobody_tells(api: Api, tenant: Tenancy) -> None:
    """A change whose notification is lost: here, one that sends none, since it leaves the version alone."""
    job = tenant.job()
    with api.client(tenant.key) as client:
        client.get(f"/v1/jobs/{job.id}")
        with tenant.sessions.begin() as session:
            session.execute(text("UPDATE jobs SET name = 'renamed' WHERE id = :id"), {"id": job.id})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.get(f"/v1/jobs/{job.id}").json()["name"] != "renamed":
            assert time.monotonic() < deadline


def _progress(tenant: Tenancy, job_id: str, completed: int) -> None:
    progress = f'{{"fraction": 0.5, "completed": {completed}, "total": 100, "unit": "batches"}}'
    with tenant.sessions.begin() as session:
        session.execute(
            text("UPDATE jobs SET version = version + 1, progress = CAST(:progress AS jsonb) WHERE id = :id"),
            {"progress": progress, "id": job_id},
        )
