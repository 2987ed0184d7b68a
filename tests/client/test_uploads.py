from pathlib import Path

import httpx2
from lowbit import Client


def test_an_upload_announces_its_size_and_digest_and_streams_the_octets(tmp_path: Path) -> None:
    path = tmp_path / "my model.onnx"
    path.write_bytes(b"abc")
    seen: list[httpx2.Request] = []
    progress: list[tuple[Path, int, int]] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        request.read()
        seen.append(request)
        return httpx2.Response(201, json={"id": "file_1"})

    with Client("http://service.test", "key", transport=httpx2.MockTransport(respond)) as client:
        assert client.files.upload(path, "model", lambda *step: progress.append(step))["id"] == "file_1"

    [request] = seen
    assert request.content == b"abc"
    assert dict(request.url.params) == {"filename": "my model.onnx", "purpose": "model"}
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert request.headers["Content-Length"] == "3"
    assert "Transfer-Encoding" not in request.headers
    # printf abc | openssl dgst -sha256 -binary | base64
    assert request.headers["Repr-Digest"] == "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"
    assert progress == [(path, 3, 3)]
