"""What a request itself shows is refused at once, with a code, a pointer and a hint; and the service goes on."""

import io
import json
import socket
import zipfile
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.e2e import tiny
from tests.e2e.conversation import is_problem, job_body, resource, upload
from tests.hostile_texts import HOSTILE_TEXTS
from tests.servers.service import QUICK, Service

UNKNOWN = "0" * 32


@pytest.fixture(scope="module")
def sound(http: httpx2.Client) -> dict[str, str]:
    """A model and a data set that fits it, by the fields of a job."""
    body = job_body(http)
    return {name: body[name] for name in ("model_id", "calibration_dataset_id")}


def _zip_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "purpose", "status", "code"),
    [
        (b"this is not a model", "model", 415, "model_format_not_supported"),
        (_zip_of("weights/data.pkl"), "model", 415, "model_format_not_supported"),
        (_zip_of("traced/code/__torch__.py"), "model", 415, "model_format_not_supported"),
        (b"ptrt" + bytes(60), "model", 415, "model_format_not_supported"),  # an engine of TensorRT
        (b"\x7fELF" + bytes(60), "model", 415, "model_format_not_supported"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "model", 415, "model_format_not_supported"),
        (b"PK\x03\x04 cut off", "model", 422, "archive_corrupt"),
        (b"\x80\x02}q\x00.", "model", 415, "model_format_not_supported"),
        (b"\x89HDF\r\n\x1a\n", "model", 415, "model_format_not_supported"),
        (b"", "model", 422, "file_empty"),
        (b"", "dataset", 422, "file_empty"),
        (b"%PDF-1.7\n", "dataset", 415, "dataset_format_not_supported"),
        (b"<!DOCTYPE html>", "dataset", 415, "dataset_format_not_supported"),
        ("text\nhello\n".encode("utf-16"), "dataset", 422, "csv_invalid"),
        (b"\x93NUMPY\x01\x00", "dataset", 415, "dataset_format_not_supported"),
        (b"PK\x05\x06" + bytes(18), "dataset", 422, "calibration_empty"),
    ],
)
def test_files_of_other_formats_are_refused_at_the_door(
    http: httpx2.Client, content: bytes, purpose: str, status: int, code: str
) -> None:
    assert is_problem(upload(http, content, purpose), status, code)["hint"]


def test_an_oversized_file_is_refused_by_its_announced_length(http: httpx2.Client) -> None:
    limit = int(QUICK["LOWBIT_MAX_UPLOAD_BYTES"])
    response = http.post("/v1/files?purpose=model", content=bytes(limit + 200_000), headers={"Content-Type": ""})
    is_problem(response, 413, "upload_too_large")


def test_an_oversized_stream_without_a_length_is_cut_off(http: httpx2.Client, service: Service) -> None:
    limit = int(QUICK["LOWBIT_MAX_UPLOAD_BYTES"])
    mebibyte = b"\x08" + bytes(1024**2 - 1)  # begins like a model, else its format would be refused first
    response = http.post("/v1/files?purpose=model", content=(mebibyte for _ in range(limit // 1024**2 + 1)))
    is_problem(response, 413, "upload_too_large")
    assert list((service.data_dir / "scratch" / "uploads").iterdir()) == []


def test_an_oversized_json_body_is_refused(http: httpx2.Client) -> None:
    response = http.post("/v1/jobs", content=b'"' + b"a" * 2**20 + b'"', headers={"Content-Type": "application/json"})
    is_problem(response, 413, "body_too_large")
    chunks = (b'"' if n == 0 else b"a" * 2**16 for n in range(20))
    response = http.post("/v1/jobs", content=chunks, headers={"Content-Type": "application/json"})
    is_problem(response, 413, "body_too_large")


def test_a_form_with_a_file_is_accepted_and_a_spoiled_form_is_not(http: httpx2.Client) -> None:
    model = tiny.model_bytes()
    fine = http.post("/v1/files", data={"purpose": "model"}, files={"file": ("my model.onnx", model)})
    assert fine.status_code == 201
    assert (fine.json()["filename"], fine.json()["bytes"]) == ("my model.onnx", len(model))
    found = is_problem(http.post("/v1/files", files={"file": ("m.onnx", model)}), 422, "validation_error")
    assert found["errors"][0]["pointer"] == "/purpose"
    found = is_problem(http.post("/v1/files", files={"purpose": (None, "model")}), 422, "validation_error")
    assert found["errors"][0]["pointer"] == "/file"
    is_problem(http.post("/v1/files", files={"other": ("m.onnx", model)}), 422, "validation_error")
    cut_off = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    is_problem(http.post("/v1/files", content=body, headers=cut_off), 400, "bad_request")
    is_problem(
        http.post("/v1/files", content=b"abc", headers={"Content-Type": "text/csv"}), 415, "unsupported_media_type"
    )


def test_raw_octets_without_a_purpose_are_refused(http: httpx2.Client) -> None:
    for query in ("", "?purpose=poem"):
        found = is_problem(http.post(f"/v1/files{query}", content=b"\x08\x09"), 422, "validation_error")
        assert found["errors"][0]["pointer"].endswith("/purpose")


def test_bytes_that_are_not_the_announced_ones_are_refused(http: httpx2.Client) -> None:
    digest = {"Repr-Digest": f"sha-256=:{'A' * 43}=:", "Content-Type": "application/octet-stream"}
    response = http.post("/v1/files?purpose=model", content=tiny.model_bytes(), headers=digest)
    is_problem(response, 400, "checksum_mismatch")


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/files/file_{UNKNOWN}",
        f"/v1/files/file_{UNKNOWN}/content",
        f"/v1/models/mdl_{UNKNOWN}",
        f"/v1/datasets/ds_{UNKNOWN}",
        f"/v1/jobs/job_{UNKNOWN}",
        f"/v1/jobs/job_{UNKNOWN}/variants",
        f"/v1/jobs/job_{UNKNOWN}/artifacts",
        f"/v1/variants/var_{UNKNOWN}",
        f"/v1/artifacts/art_{UNKNOWN}",
        f"/v1/artifacts/art_{UNKNOWN}/content",
        "/v1/recipes/int3",
        "/v1/nothing",
        "/v1/jobs/%2e%2e%2fetc%2fpasswd",
        "/v1/jobs/a%00b",
        "/problems/no_such_code",
    ],
)
def test_what_does_not_exist_is_not_found(http: httpx2.Client, path: str) -> None:
    is_problem(http.get(path), 404, "not_found")


def test_a_method_that_a_path_lacks_is_named_with_those_it_has(http: httpx2.Client) -> None:
    response = http.put("/v1/jobs", json={})
    is_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"
    content = http.put(f"/v1/files/file_{UNKNOWN}/content")
    assert content.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[1,", b'{"model_id": nope}', b"\xff\xfe", b'{"seed": 1, "seed": 2}', b'{"seed": NaN}',
        b'{"objective": {"max_accuracy_drop": 1e400}}', b'{"labels": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)  # fmt: skip
def test_broken_json_is_called_that(http: httpx2.Client, body: bytes) -> None:
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert is_problem(response, 400, "malformed_json")["hint"]


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: -5",
        "Content-Length: five",
        "Content-Length: 2\r\nContent-Length: 5",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
    ],
)
def test_a_request_that_could_hide_another_one_is_refused_and_the_connection_closed(
    service: Service, framing: str
) -> None:
    where = urlsplit(service.url)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    hidden = f"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.sendall((head + hidden).encode())
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "blue"}, "/colour"),
        ({"recipe": {"calibration_metod": "percentile"}}, "/recipe/calibration_metod"),
        ({"recipe": {"preset": "int7"}}, "/recipe/preset"),
        ({"recipe": {"percentiles": [99.9, 12]}}, "/recipe/percentiles/1"),
        ({"recipe": {"percentiles": []}}, "/recipe/percentiles"),
        ({"recipe": {"preset": "int8-fast", "percentiles": [99.9]}}, "/recipe/percentiles"),
        ({"recipe": {"smoothquant_alpha": 1.5}}, "/recipe/smoothquant_alpha"),
        ({"recipe": {"smoothquant_alpha": True}}, "/recipe/smoothquant_alpha"),
        ({"recipe": {"equalize": "maybe"}}, "/recipe/equalize"),
        ({"recipe": {"rounding": "gptq2"}}, "/recipe/rounding"),
        ({"recipe": {"method": "int4"}}, "/recipe/method"),
        ({"recipe": {"preset": "float16", "per_channel": False}}, "/recipe/per_channel"),
        ({"recipe": {"method": "dynamic", "calibration_samples": 3}}, "/recipe/calibration_samples"),
        ({"objective": {"max_accuracy_drop": "1e400"}}, "/objective/max_accuracy_drop"),
        ({"objective": {"max_accuracy_drop": -0.1}}, "/objective/max_accuracy_drop"),
        ({"benchmark": {"batch_sizes": [0]}}, "/benchmark/batch_sizes/0"),
        ({"seed": 3.5}, "/seed"),
        ({"name": "a\x00b"}, "/name"),
        ({"labels": {"a": 1}}, "/labels/a"),
    ],
)
def test_a_field_that_does_not_fit_is_pointed_at(http: httpx2.Client, change: dict[str, Any], pointer: str) -> None:
    body = {"model_id": f"mdl_{UNKNOWN}", "calibration_dataset_id": f"ds_{UNKNOWN}", **change}
    found = is_problem(http.post("/v1/jobs", json=body), 422, "validation_error")
    assert pointer in [error["pointer"] for error in found["errors"]]


def test_a_misspelt_field_gets_a_suggestion(http: httpx2.Client) -> None:
    body = {"model_id": f"mdl_{UNKNOWN}", "calibration_dataset_id": f"ds_{UNKNOWN}"}
    response = http.post("/v1/jobs", json={**body, "recipe": {"calibration_metod": "percentile"}})
    assert "calibration_method" in is_problem(response, 422, "validation_error")["hint"]


def test_percentiles_that_nothing_would_read_get_a_suggestion(http: httpx2.Client) -> None:
    body = {"model_id": f"mdl_{UNKNOWN}", "calibration_dataset_id": f"ds_{UNKNOWN}"}
    for path in ("/v1/jobs", "/v1/jobs/validate"):
        response = http.post(path, json={**body, "recipe": {"preset": "int8-accurate", "percentiles": [99.9]}})
        found = is_problem(response, 422, "validation_error")
        assert found["errors"] == [
            {"pointer": "/recipe/percentiles", "detail": "No range follows from percentiles with `measured`"}
        ]
        assert "calibration_method" in found["hint"]


def test_a_field_that_the_method_does_not_read_gets_a_suggestion(http: httpx2.Client) -> None:
    body = {"model_id": f"mdl_{UNKNOWN}", "calibration_dataset_id": f"ds_{UNKNOWN}"}
    for path in ("/v1/jobs", "/v1/jobs/validate"):
        response = http.post(path, json={**body, "recipe": {"preset": "int8-dynamic", "equalize": "on"}})
        found = is_problem(response, 422, "validation_error")
        detail = 'The method `dynamic` does not read `equalize` (received "on")'
        assert found["errors"] == [{"pointer": "/recipe/equalize", "detail": detail}]
        assert found["hint"] == 'Leave `equalize` out, or set `method` to "static".'


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text)[:20])
def test_no_text_makes_the_service_fail(http: httpx2.Client, text: str) -> None:
    for change in ({"model_id": text}, {"target": text}, {"labels": {text: text}}, {text: 1}):
        body = {"model_id": f"mdl_{UNKNOWN}", "calibration_dataset_id": f"ds_{UNKNOWN}", **change}
        response = _post_ascii(http, body)
        assert response.status_code in {400, 404, 422}
        is_problem(response, response.status_code, response.json()["code"])
        assert len(response.content) < 4000


def _post_ascii(http: httpx2.Client, body: dict[str, Any]) -> httpx2.Response:
    r"""Escaped as \uXXXX, so that what UTF-8 cannot say arrives as well."""
    return http.post("/v1/jobs", content=json.dumps(body), headers={"Content-Type": "application/json"})


def test_a_job_on_what_does_not_exist_names_the_field(http: httpx2.Client, sound: dict[str, str]) -> None:
    body = {**sound, "model_id": f"mdl_{UNKNOWN}"}
    found = is_problem(http.post("/v1/jobs", json=body), 404, "not_found")
    assert found["errors"][0]["pointer"] == "/model_id"


def test_a_job_for_an_unknown_target_lists_the_known_ones(http: httpx2.Client, sound: dict[str, str]) -> None:
    found = is_problem(http.post("/v1/jobs", json={**sound, "target": "abacus"}), 422, "target_unavailable")
    assert "onnxruntime-cpu" in found["hint"]


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"pixels": tiny.images(4)}, "calibration_input_missing"),
        ({"image": tiny.images(4)[:, :, :, :7]}, "calibration_shape_mismatch"),
        ({"image": tiny.images(4).reshape(4, 8, 8, 1)}, "calibration_shape_mismatch"),
        ({"image": tiny.images(4).reshape(4, 64)}, "calibration_shape_mismatch"),
        ({"image": tiny.images(4).astype("float64")}, "calibration_dtype_mismatch"),
        ({"image": tiny.images(4).astype("int32")}, "calibration_dtype_mismatch"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused_before_any_work(
    http: httpx2.Client, sound: dict[str, str], arrays: dict[str, Any], code: str
) -> None:
    dataset = resource(http, tiny.npz_bytes(**arrays), "datasets")
    assert dataset["status"] == "ready", dataset
    body = {**sound, "calibration_dataset_id": dataset["id"]}
    found = is_problem(http.post("/v1/jobs", json=body), 422, code)
    assert found["errors"][0]["pointer"] == "/calibration_dataset_id"
    assert "image" in found["detail"]
    assert found["hint"]
    checked = http.post("/v1/jobs/validate", json=body).json()
    assert checked["ok"] is False
    assert [problem["code"] for problem in checked["problems"]] == [code]


def test_an_accuracy_goal_without_labels_is_refused(http: httpx2.Client, sound: dict[str, str]) -> None:
    body = {**sound, "objective": {"max_accuracy_drop": 0.01}}
    found = is_problem(http.post("/v1/jobs", json=body), 422, "labels_missing")
    assert found["errors"][0]["pointer"] == "/objective/max_accuracy_drop"


def test_a_file_serves_the_purpose_that_it_was_uploaded_for(http: httpx2.Client) -> None:
    file = upload(http, tiny.calibration_bytes(), "dataset").json()
    found = is_problem(http.post("/v1/models", json={"file_id": file["id"]}), 422, "file_purpose_mismatch")
    assert found["errors"][0]["pointer"] == "/file_id"


def test_a_forged_cursor_is_refused(http: httpx2.Client) -> None:
    for cursor in ("job_1", "mdl_" + UNKNOWN, "' OR 1=1 --"):
        is_problem(http.get("/v1/jobs", params={"after": cursor}), 400, "invalid_cursor")
    is_problem(http.get("/v1/jobs", params={"limit": 1000}), 422, "validation_error")
    is_problem(http.get("/v1/jobs", params={"offset": 1}), 422, "validation_error")


def test_what_a_job_names_cannot_be_deleted(http: httpx2.Client) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    is_problem(http.delete(f"/v1/files/{model['file_id']}"), 409, "resource_in_use")
    body = job_body(http, model_id=model["id"])
    job = http.post("/v1/jobs", json=body).json()
    is_problem(http.delete(f"/v1/models/{model['id']}"), 409, "resource_in_use")
    http.post(f"/v1/jobs/{job['id']}/cancel")


def test_what_nothing_refers_to_can_be_deleted(http: httpx2.Client) -> None:
    dataset = resource(http, tiny.calibration_bytes(3), "datasets")
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    is_problem(http.get(f"/v1/datasets/{dataset['id']}"), 404, "not_found")
    assert http.delete(f"/v1/files/{dataset['file_id']}").status_code == 204
