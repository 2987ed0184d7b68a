"""Files over HTTP, where the service's settings have a say. No worker is there."""

import io
import zipfile

from tests.e2e.conversation import is_problem, upload
from tests.servers.api import Api


def test_programs_of_torch_export_are_refused_unless_the_operator_allows_them(api: Api) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("program/archive_format", "pt2")
    with api.client() as client:
        found = is_problem(upload(client, buffer.getvalue(), "model"), 415, "pt2_not_allowed")
    assert "LOWBIT_ALLOW_TORCH_EXPORT" in found["hint"]


def test_a_forms_field_is_repeated_in_a_form_that_is_safe_to_show(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/v1/files", files={"\u202e" + "x" * 3000: ("m.onnx", b"\x08\x09")})
    found = is_problem(answer, 422, "validation_error")
    assert found["hint"]
    assert len(answer.content) < 1000
    assert "\u202e" not in found["errors"][0]["pointer"]
