"""Sending in parts, against a service on paper that keeps what it was sent."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lowbit import Client, LowbitError, NotFound, ProblemError, uploads
from lowbit.upload_memory import Sent, UploadMemory

PART_BYTES = 4 << 20
SIZE = (8 << 20) + 5  # three parts
STORE = "https://store.test"


@dataclass
class PaperService:
    """Keeps parts; answers the first PUTs of a part with the statuses of `trouble`, if any."""

    presigned: bool = False
    trouble: dict[int, list[int]] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=lambda: {"status": "completed"})
    parts: dict[int, bytes] = field(default_factory=dict)
    status: str = "pending"
    begun: int = 0
    begun_with: dict[str, Any] = field(default_factory=dict)
    aborted: int = 0
    completed_with: dict[str, Any] = field(default_factory=dict)
    keys_at_store: list[str | None] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:  # noqa: PLR0911  one for each verb
        request.read()
        path = request.url.path
        if request.method == "PUT":
            return self._take(request, int(path.rpartition("/")[2]))
        if request.method == "DELETE":
            self.aborted += 1
            return httpx2.Response(204)
        if path == "/v1/uploads":
            self.begun += 1
            self.begun_with = json.loads(request.content)
            return httpx2.Response(201, json={**self._upload(), "parts": self._urls([1])})
        if path.endswith("/part-urls"):
            return httpx2.Response(200, json={"parts": self._urls(json.loads(request.content)["numbers"])})
        if path.endswith("/complete"):
            self.completed_with = json.loads(request.content)
            self.status = self.verdict["status"]
            return httpx2.Response(202, json=self._upload())
        if path != "/v1/uploads/upl_1":
            return httpx2.Response(404, json={"code": "not_found", "status": 404})
        received = [{"number": n, "bytes": len(b), "etag": f"e{n}"} for n, b in sorted(self.parts.items())]
        missing = [n for n in (1, 2, 3) if n not in self.parts]
        return httpx2.Response(200, json={**self._upload(), "received": received, "missing": missing})

    def _take(self, request: httpx2.Request, number: int) -> httpx2.Response:
        if request.url.host == "store.test":
            self.keys_at_store.append(request.headers.get("Authorization"))
        if pending := self.trouble.get(number):
            return httpx2.Response(pending.pop(0), json={"code": "trouble"})
        self.parts[number] = request.content
        return httpx2.Response(200, headers={"ETag": f'"e{number}"'})

    def _urls(self, numbers: list[int]) -> list[dict[str, Any]]:
        base = STORE if self.presigned else ""
        return [{"number": n, "url": f"{base}/v1/uploads/upl_1/parts/{n}", "headers": {}} for n in numbers]

    def _upload(self) -> dict[str, Any]:
        file = {"id": "file_1"} if self.status == "completed" else None
        problem = self.verdict.get("problem") if self.status == "failed" else None
        return {
            "id": "upl_1",
            "status": self.status,
            "bytes": SIZE,
            "part_bytes": PART_BYTES,
            "part_count": 3,
            "file": file,
            "problem": problem,
        }


@pytest.fixture(autouse=True)
def _quick_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uploads, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "model.onnx"
    found.write_bytes(bytes(range(256)) * (SIZE // 256) + b"tail!")
    assert found.stat().st_size == SIZE
    return found


def _client(service: PaperService) -> Client:
    return Client("http://service.test", "key", transport=httpx2.MockTransport(service))


def _remembered(path: Path) -> str | None:
    return UploadMemory().recall(Sent.of("http://service.test", path, "model"))


@pytest.mark.parametrize("presigned", [False, True])
def test_parts_arrive_whole_and_the_key_stays_with_the_service(path: Path, presigned: bool) -> None:
    service = PaperService(presigned=presigned)
    steps: list[int] = []
    with _client(service) as client:
        file = client.files.upload(path, "model", lambda _, done, total: steps.append(done))
    assert file["id"] == "file_1"
    assert b"".join(service.parts[n] for n in (1, 2, 3)) == path.read_bytes()
    assert service.completed_with == {
        "parts": [{"number": n, "etag": f"e{n}"} for n in (1, 2, 3)],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert steps[-1] == SIZE
    assert service.keys_at_store == ([None] * 3 if presigned else [])
    assert _remembered(path) is None


def test_a_part_is_sent_again_as_long_as_that_may_help(path: Path) -> None:
    service = PaperService(trouble={2: [503, 408, 500]})
    with _client(service) as client:
        client.files.upload(path, "model")
    assert service.parts.keys() == {1, 2, 3}


def test_an_address_that_has_expired_is_replaced(path: Path) -> None:
    service = PaperService(presigned=True, trouble={1: [403]})
    with _client(service) as client:
        client.files.upload(path, "model")
    assert service.parts.keys() == {1, 2, 3}


def test_a_refusal_is_not_repeated_and_the_upload_is_given_up(path: Path) -> None:
    service = PaperService(trouble={1: [415] * 9})
    with _client(service) as client, pytest.raises(ProblemError) as refused:
        client.files.upload(path, "model")
    assert refused.value.status == 415
    assert len(service.trouble[1]) == 8
    assert service.aborted == 1
    assert _remembered(path) is None


def test_an_outage_that_outlasts_our_patience_leaves_the_upload_to_go_on_with(path: Path) -> None:
    service = PaperService(trouble={3: [503] * 4})
    with _client(service) as client:
        with pytest.raises(ProblemError):
            client.files.upload(path, "model")
        assert (service.aborted, _remembered(path)) == (0, "upl_1")
        service.parts = {1: path.read_bytes()[:PART_BYTES]}
        steps: list[int] = []
        client.files.upload(path, "model", lambda _, done, __: steps.append(done))
    assert service.begun == 1
    assert steps[:2] == [0, PART_BYTES]


def test_a_changed_file_is_another_upload(path: Path) -> None:
    service = PaperService(trouble={3: [503] * 4})
    with _client(service) as client:
        with pytest.raises(ProblemError):
            client.files.upload(path, "model")
        path.write_bytes(path.read_bytes()[::-1])
        assert _remembered(path) is None
        client.files.upload(path, "model")
    assert service.begun == 2


def test_a_file_of_known_digest_goes_on_from_another_place(path: Path, tmp_path: Path) -> None:
    service = PaperService(trouble={3: [503] * 4})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with _client(service) as client:
        with pytest.raises(ProblemError):
            client.files.upload(path, "model", sha256=digest)
        assert (service.begun_with["sha256"], _remembered(path)) == (digest, None)
        service.parts = {1: path.read_bytes()[:PART_BYTES]}
        steps: list[int] = []
        moved = path.rename(tmp_path / "moved.onnx")
        os.utime(moved, (1, 1))
        client.files.upload(moved, "model", lambda _, done, __: steps.append(done), sha256=digest)
    assert (service.begun, steps[:2]) == (1, [0, PART_BYTES])
    assert service.completed_with["sha256"] == digest


def test_a_file_of_known_digest_that_changes_while_it_is_sent_is_not_completed(path: Path) -> None:
    service = PaperService()
    with _client(service) as client, pytest.raises(LowbitError, match="was changed"):
        client.files.upload(path, "model", lambda *_: os.utime(path), sha256="0" * 64)
    assert not service.completed_with


def test_a_file_that_changes_while_it_is_sent_is_not_completed(path: Path) -> None:
    service = PaperService()

    def touch(*_: object) -> None:
        os.utime(path)

    with _client(service) as client, pytest.raises(LowbitError, match="was changed"):
        client.files.upload(path, "model", touch)
    assert not service.completed_with


def test_an_upload_that_was_begun_elsewhere_is_gone_on_with(path: Path) -> None:
    service = PaperService(parts={1: path.read_bytes()[:PART_BYTES]})
    with _client(service) as client:
        client.files.upload(path, "model", resume="upl_1")
        with pytest.raises(NotFound):
            client.files.upload(path, "model", resume="upl_2")
    assert service.begun == 0


def test_what_the_verification_found_is_raised(path: Path) -> None:
    problem = {"code": "checksum_mismatch", "status": 400, "title": "t", "detail": "d"}
    service = PaperService(verdict={"status": "failed", "problem": problem})
    with _client(service) as client, pytest.raises(ProblemError) as failed:
        client.files.upload(path, "model")
    assert failed.value.code == "checksum_mismatch"
    assert _remembered(path) is None


def test_a_memory_that_cannot_be_written_costs_nothing_else(path: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with _client(PaperService()) as client:
        assert client.files.upload(path, "model")["id"] == "file_1"


def test_a_damaged_note_is_no_note(path: Path, tmp_path: Path) -> None:
    memory, sent = UploadMemory(tmp_path / "notes"), Sent.of("http://service.test", path, "model")
    memory.keep(sent, "upl_1")
    assert memory.recall(sent) == "upl_1"
    (note,) = (tmp_path / "notes").iterdir()
    for damaged in ("", "[]", '{"upload_id": 1}', '"x"'):
        note.write_text(damaged)
        assert memory.recall(sent) is None
    memory.forget(sent)
    assert not list((tmp_path / "notes").iterdir())
