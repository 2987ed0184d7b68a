"""What an operator can do, and that each of it is in the audit log."""

import pytest

from app.ids import new_id
from app.tables import DEFAULT_TENANT_ID
from tests.app.belongings import STORED_BYTES, UPLOAD_BYTES, give_one_of_everything
from tests.e2e.conversation import is_problem
from tests.servers.api import Api
from tests.servers.postgres import Database


def test_a_tenant_is_made_changed_and_listed(api: Api) -> None:
    with api.client() as admin:
        made = admin.post("/v1/admin/tenants", json={"name": "changing", "weight": 2.5, "max_queued_jobs": 5})
        assert made.status_code == 201
        path = made.headers["Location"]
        assert admin.get(path).json()["quotas"]["queued_jobs"] == 5
        changed = admin.patch(path, json={"max_queued_jobs": None, "max_running_jobs": 1}).json()
        assert (changed["max_queued_jobs"], changed["max_running_jobs"], changed["weight"]) == (None, 1, 2.5)
        assert admin.get(path).json()["quotas"]["queued_jobs"] == 1000  # the setting's default
        assert made.json()["id"] in [row["id"] for row in admin.get("/v1/admin/tenants").json()["data"]]
        is_problem(admin.post("/v1/admin/tenants", json={"name": "changing"}), 409, "name_taken")
        is_problem(admin.patch(path, json={"name": None}), 422, "validation_error")
        is_problem(admin.patch(path, json={"colour": "red"}), 422, "validation_error")
        is_problem(admin.patch("/v1/admin/tenants/tnt_0", json={}), 404, "not_found")


def test_a_disabled_tenant_comes_back(api: Api) -> None:
    tenant_id, key = api.tenant("coming back")
    with api.client() as admin:
        path = f"/v1/admin/tenants/{tenant_id}"
        admin.patch(path, json={"disabled": True})
        with api.client(key) as client:
            is_problem(client.get("/v1/me"), 401, "invalid_credentials")
            assert admin.patch(path, json={"disabled": False}).json()["disabled_at"] is None
            assert client.get("/v1/me").status_code == 200


def test_the_default_tenant_cannot_be_switched_off(api: Api) -> None:
    with api.client() as admin:
        path = f"/v1/admin/tenants/{DEFAULT_TENANT_ID}"
        is_problem(admin.patch(path, json={"disabled": True}), 409, "resource_in_use")


def test_usage_is_the_sum_of_the_rows(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("summed")
    job_id = give_one_of_everything(database, tenant_id)["job_id"]
    with api.client() as admin, api.client(key) as client:
        expected = {"stored_bytes": STORED_BYTES, "queued_jobs": 1, "running_jobs": 0, "open_uploads": 1}
        assert client.get("/v1/me").json()["usage"] == expected
        assert admin.get(f"/v1/admin/tenants/{tenant_id}").json()["usage"] == expected
        claimed = "status = 'running', lease_owner = 'w', lease_expires_at = clock_timestamp() + interval '1 hour'"
        database.execute(f"UPDATE jobs SET {claimed} WHERE id = :id", id=job_id)
        database.execute("UPDATE uploads SET status = 'aborted' WHERE tenant_id = :id", id=tenant_id)
        assert client.get("/v1/me").json()["usage"] == {
            "stored_bytes": STORED_BYTES - UPLOAD_BYTES,
            "queued_jobs": 0,
            "running_jobs": 1,
            "open_uploads": 0,
        }


def test_a_job_that_was_given_up_runs_again(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("given up")
    job_id = give_one_of_everything(database, tenant_id)["job_id"]
    path = f"/v1/admin/jobs/{job_id}/requeue"
    with api.client() as admin, api.client(key) as owner:
        is_problem(admin.post(path), 409, "invalid_state_transition")
        is_problem(admin.post(f"/v1/admin/jobs/{new_id('job')}/requeue"), 404, "not_found")
        error = '{"type": "", "title": "", "status": 500, "detail": "", "code": "job_quarantined"}'
        given_up = "UPDATE jobs SET status = 'failed', error = CAST(:error AS jsonb) WHERE id = :id"
        database.execute(given_up, id=job_id, error=error)
        assert owner.get(f"/v1/jobs/{job_id}").json()["status"] == "failed"
        is_problem(owner.post(path), 403, "forbidden")
        assert admin.post(path).json()["status"] == "queued"
        assert owner.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
        newest = admin.get("/v1/admin/audit", params={"limit": 1, "tenant_id": DEFAULT_TENANT_ID}).json()["data"][0]
        assert (newest["action"], newest["subject"]) == ("requeue_job", job_id)
        assert newest["detail"] == {"tenant_id": tenant_id}


def test_the_subject_of_an_inspection_that_runs_again_is_awaited_again(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("inspected again")
    made = give_one_of_everything(database, tenant_id)
    error = '{"type": "", "title": "", "status": 500, "detail": "", "code": "job_quarantined"}'
    given_up = "UPDATE jobs SET kind = 'inspect_model', status = 'failed', error = CAST(:error AS jsonb) WHERE id = :id"
    database.execute(given_up, id=made["job_id"], error=error)
    rejected = "UPDATE models SET status = 'rejected', problem = CAST(:error AS jsonb) WHERE id = :id"
    database.execute(rejected, id=made["model_id"], error=error)
    with api.client() as admin, api.client(key) as owner:
        assert owner.get(f"/v1/models/{made['model_id']}").json()["status"] == "rejected"
        admin.post(f"/v1/admin/jobs/{made['job_id']}/requeue").raise_for_status()
        model = owner.get(f"/v1/models/{made['model_id']}").json()
    assert (model["status"], model["problem"]) == ("inspecting", None)


@pytest.mark.parametrize("path", ["/v1/admin/tenants/{}/keys", "/v1/admin/tenants/{}"])
def test_what_is_asked_of_no_tenant_is_not_found(api: Api, path: str) -> None:
    with api.client() as admin:
        is_problem(admin.get(path.format(new_id("tnt"))), 404, "not_found")
