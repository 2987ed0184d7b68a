import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from lowbit import DigestMismatch
from lowbit.discovery import Connection
from lowbit.download import download_artifacts, plain_name
from lowbit.resources import Artifact
from lowbit.wire import Wire

CONTENT = bytes(range(256)) * 8
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PARTIAL = f".model.onnx.{SHA256[:16]}.part"

ARTIFACT: Artifact = {
    "id": "art_1",
    "job_id": "job_1",
    "variant_id": None,
    "kind": "model",
    "filename": "model.onnx",
    "media_type": "application/octet-stream",
    "bytes": len(CONTENT),
    "sha256": SHA256,
    "created_at": "2026-01-01T00:00:00Z",
    "links": {"content": "/v1/artifacts/art_1/content"},
}


class Store:
    """Answers with the content, or with the part that was asked for, as RFC 9110 says."""

    def __init__(self, content: bytes = CONTENT, *, ranges: bool = True) -> None:
        self.content = content
        self.ranges = ranges
        self.asked: list[str | None] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if wanted and self.ranges and request.headers.get("If-Range") == f'"sha256-{SHA256}"':
            return httpx2.Response(206, content=self.content[int(wanted.removeprefix("bytes=").rstrip("-")) :])
        return httpx2.Response(200, content=self.content)


def fetch(store: Callable[[httpx2.Request], httpx2.Response], directory: Path) -> list[Path]:
    wire = Wire(Connection("http://service.test", None), timeout_seconds=5.0, transport=httpx2.MockTransport(store))
    return download_artifacts(wire, [ARTIFACT], directory)


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    [path] = fetch(Store(), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]


def test_a_partial_file_is_continued(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).write_bytes(CONTENT[:100])
    store = Store()
    [path] = fetch(store, tmp_path)
    assert path.read_bytes() == CONTENT
    assert store.asked == ["bytes=100-"]


def test_a_partial_file_is_replaced_when_ranges_are_not_served(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).write_bytes(CONTENT[:100])
    [path] = fetch(Store(ranges=False), tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_needs_no_request(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).write_bytes(CONTENT)
    store = Store()
    fetch(store, tmp_path)
    assert store.asked == []


def test_a_file_that_is_there_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT)
    store = Store()
    assert fetch(store, tmp_path) == [tmp_path / "model.onnx"]
    assert store.asked == []


@pytest.mark.parametrize("damaged", [CONTENT[:-1] + b"\0", CONTENT + b"\0"])
def test_damaged_bytes_never_get_the_name(tmp_path: Path, damaged: bytes) -> None:
    with pytest.raises(DigestMismatch, match=SHA256):
        fetch(Store(damaged), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_answer_is_continued_at_once(tmp_path: Path) -> None:
    whole = Store()

    def cut_once(request: httpx2.Request) -> httpx2.Response:
        answer = whole(request)
        return httpx2.Response(200, content=CONTENT[:50]) if len(whole.asked) == 1 else answer

    [path] = fetch(cut_once, tmp_path)
    assert path.read_bytes() == CONTENT
    assert whole.asked == [None, "bytes=50-"]


@pytest.mark.parametrize(
    ("filename", "written"),
    [("model.onnx", "model.onnx"), ("../../etc/passwd", "passwd"), ("C:\\windows\\x.dll", "x.dll"), ("/a/b", "b")],
)
def test_a_name_never_leaves_the_folder(filename: str, written: str) -> None:
    assert plain_name(filename) == written


@pytest.mark.parametrize("filename", ["", "..", "a/..", "name\n", "\x1b[2J"])
def test_a_name_that_is_none_is_refused(filename: str) -> None:
    with pytest.raises(DigestMismatch):
        plain_name(filename)
