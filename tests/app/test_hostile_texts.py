"""Texts of all kinds in every field that takes one: kept as they are, or refused; never a failure, never an echo at
length.
"""

import json
from typing import Any

import httpx2
import pytest

from app.files.form import MAX_HEADER_BYTES
from tests.app.datasets.test_endpoints import JSONL
from tests.e2e.conversation import is_problem, upload
from tests.hostile_texts import HOSTILE_TEXTS
from tests.servers.api import Api


@pytest.fixture(scope="module")
def http(api: Api) -> Any:
    with api.client(api.tenant("typing")[1]) as client:
        yield client


def post(http: httpx2.Client, path: str, body: Any) -> httpx2.Response:
    """As ASCII, so that what UTF-8 cannot say arrives as well."""
    return http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text)[:20])
def test_every_text_is_kept_as_it_is_or_refused(http: httpx2.Client, text: str) -> None:
    file_id = upload(http, JSONL, "dataset").json()["id"]
    tokenized = {"kind": "text", "text": text, "label": text, "classes": [text]}
    fields = {
        "name": post(http, "/v1/datasets", {"file_id": file_id, "name": text}),
        "preparation": post(http, "/v1/datasets", {"file_id": file_id, "preparation": tokenized}),
        "file_id": post(http, "/v1/models", {"file_id": text}),
        "filename": post(http, "/v1/uploads", {"filename": text, "bytes": 6, "purpose": "model"}),
        "token": post(http, "/v1/tokens", {"name": text, "scopes": [text]}),
        "event_types": post(http, "/v1/webhooks", {"url": text, "event_types": [text]}),
    }
    for field, answer in fields.items():
        assert answer.status_code in {201, 400, 404, 422, 429}, (field, answer.text)
        if answer.status_code != 201:
            is_problem(answer, answer.status_code, answer.json()["code"])
            assert len(answer.content) < 4000, field
        elif field == "name":
            assert answer.json()["name"] == text


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text)[:20])
def test_no_name_of_a_file_gets_out_of_its_header(http: httpx2.Client, text: str) -> None:
    try:
        sent = http.post("/v1/files", data={"purpose": "model"}, files={"file": (text, b"\x08\x09" + bytes(20))})
    except UnicodeEncodeError:
        return  # no client can send it
    if len(text) > MAX_HEADER_BYTES:
        is_problem(sent, 400, "bad_request")
        return
    assert sent.status_code == 201, sent.text
    shown = http.get(sent.json()["links"]["content"])
    assert "set-cookie" not in shown.headers
    assert shown.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert not set(shown.headers["content-disposition"]) & set('"<>\r\n\\')


def test_a_forged_host_and_an_encoded_path_lead_nowhere(http: httpx2.Client) -> None:
    is_problem(http.get("/v1/jobs", headers={"Host": "evil.test"}), 400, "host_not_allowed")
    for path in ("%2e%2e%2fetc%2fpasswd", "..%5c..%5cx", "%00", "%F0%9F%99%82"):
        is_problem(http.get(f"/v1/jobs/{path}"), 404, "not_found")
