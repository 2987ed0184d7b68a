"""What is particular to S3: servers that are away, refuse or fail in the middle, and memory that stays flat."""

import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.storage import ObjectStore, StoreUnavailable, s3, store_from_url
from app.storage.s3 import S3Store
from tests.app.storage.conftest import BUCKET, TENANT, Stored, s3_store
from tests.faults.proxy import Faults, running_proxy
from tests.servers.seaweedfs import S3Address, free_ports

ABSENT = "0" * 64


@pytest.fixture
def stored(seaweedfs: S3Address, tmp_path: Path) -> Stored:
    return Stored(*s3_store(seaweedfs), tmp_path)


def store_at(address: S3Address, bucket: str = BUCKET, *, endpoint_url: str = "", query: str = "") -> ObjectStore:
    return store_from_url(
        f"s3://{bucket}?region=us-east-1&endpoint_url={endpoint_url or address.endpoint_url}{query}",
        s3_access_key_id=address.access_key,
        s3_secret_access_key=address.secret_key,
    )


@pytest.mark.pace
def test_a_server_that_is_away(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    store = store_at(S3Address(f"http://127.0.0.1:{port}", "key", "secret"))
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.check()
    assert time.monotonic() - started < 2, "a readiness probe must not wait for retries"
    with pytest.raises(StoreUnavailable):
        store.size(tenant_id=TENANT, sha256=ABSENT)


@pytest.mark.pace
def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = store_at(S3Address(f"http://127.0.0.1:{silent.getsockname()[1]}", "key", "secret"))
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="timeout"):
            store.check()
        assert time.monotonic() - started < 10


def test_a_wrong_secret(seaweedfs: S3Address, stored: Stored) -> None:
    store = store_at(S3Address(seaweedfs.endpoint_url, seaweedfs.access_key, "wrong"))
    path, sha256 = stored.file(b"x")
    with pytest.raises(StoreUnavailable):
        store.check()
    with pytest.raises(StoreUnavailable) as caught:
        store.put_file(path, tenant_id=TENANT, sha256=sha256)
    assert "wrong" not in str(caught.value)


def test_missing_keys_are_unavailable_not_a_crash(seaweedfs: S3Address, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    store = store_from_url(f"s3://{BUCKET}?endpoint_url={seaweedfs.endpoint_url}&region=us-east-1")
    with pytest.raises(StoreUnavailable, match="credentials"):
        store.check()


def test_keys_from_the_environment(seaweedfs: S3Address, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.secret_key)
    store_from_url(f"s3://{BUCKET}?endpoint_url={seaweedfs.endpoint_url}&region=us-east-1").check()


def test_a_bucket_is_made_only_when_asked(seaweedfs: S3Address) -> None:
    bucket = f"made-{uuid4().hex}"
    with pytest.raises(StoreUnavailable, match="does not exist"):
        store_at(seaweedfs, bucket).check()
    store_at(seaweedfs, bucket, query="&create_bucket=true").check()
    store_at(seaweedfs, bucket, query="&create_bucket=true").check()
    seaweedfs.client().delete_bucket(Bucket=bucket)


def test_two_processes_may_make_the_bucket_at_once(seaweedfs: S3Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds none, then both make it: the second is told that it owns one already."""
    store = store_at(seaweedfs)
    assert isinstance(store, S3Store)
    monkeypatch.setattr(store, "check", refuse)
    store.create_bucket()


def refuse() -> None:
    raise StoreUnavailable("no such bucket")


@pytest.mark.pace
def test_a_server_that_falls_silent_makes_no_bucket_and_keeps_nobody_waiting(seaweedfs: S3Address) -> None:
    with running_proxy(seaweedfs.endpoint_url.removeprefix("http://")) as proxy:
        proxy.faults = Faults(is_black_hole=True)
        asked = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store_at(seaweedfs, query="&create_bucket=true", endpoint_url=f"http://{proxy.address}")
        assert time.monotonic() - asked < 15.0  # two questions of 3 s each, and boto3's own patience


def test_objects_never_look_like_web_pages(seaweedfs: S3Address, stored: Stored) -> None:
    path, sha256 = stored.file(b"<html><script>alert(1)</script>")
    store_at(seaweedfs).put_file(path, tenant_id="pages", sha256=sha256)
    head = seaweedfs.client().head_object(Bucket=BUCKET, Key=f"t/pages/sha256/{sha256[:2]}/{sha256}")
    assert head["ContentType"] == "application/octet-stream"


def test_a_server_that_keeps_less_than_it_was_sent(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "upload", lambda *_, **__: None)
    with pytest.raises(StoreUnavailable, match=r"accepted 8 bytes .* shows None"):
        stored.put(b"original")


def test_a_connection_cut_in_the_middle_of_a_download(seaweedfs: S3Address, stored: Stored, tmp_path: Path) -> None:
    content = bytes(8_000_000)
    path, sha256 = stored.file(content)
    store_at(seaweedfs).put_file(path, tenant_id=TENANT, sha256=sha256)
    folder = tmp_path / "folder"
    folder.mkdir()
    with cutting_proxy(seaweedfs, after_bytes=3_000_000) as endpoint_url:
        store = store_at(seaweedfs, endpoint_url=endpoint_url)
        with pytest.raises(StoreUnavailable, match="read, but total bytes expected is 8000000"):
            store.download(folder / "copy", tenant_id=TENANT, sha256=sha256)
    assert list(folder.iterdir()) == []


@contextmanager
def cutting_proxy(address: S3Address, *, after_bytes: int) -> Iterator[str]:
    """Hands connections through to the server and cuts each after so many bytes of answer."""
    target = urlsplit(address.endpoint_url)
    assert target.hostname
    assert target.port
    server = (target.hostname, target.port)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener, server, after_bytes))
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def accept(listener: socket.socket, server: tuple[str, int], after_bytes: int) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            with near, socket.create_connection(server) as far:
                far.sendall(near.recv(65536))
                forward(far, near, after_bytes)


def forward(far: socket.socket, near: socket.socket, left_bytes: int) -> None:
    while left_bytes > 0 and (data := far.recv(min(65536, left_bytes))):
        near.sendall(data)
        left_bytes -= len(data)


def test_64_mib_go_up_and_down_in_flat_memory(seaweedfs: S3Address, tmp_path: Path) -> None:
    path = tmp_path / "big"
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(64):
            block = number.to_bytes(2, "big") * (512 * 1024)  # 1 MiB
            file.write(block)
            sha256.update(block)
    script = f"""
import re
from pathlib import Path
from app.storage import store_from_url
def peak_kib():  # of this program only; getrusage would count what it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
store = store_from_url(
    "s3://{BUCKET}?region=us-east-1&endpoint_url={seaweedfs.endpoint_url}",
    s3_access_key_id="{seaweedfs.access_key}", s3_secret_access_key="{seaweedfs.secret_key}")
store.check()
before = peak_kib()
store.put_file(Path({str(path)!r}), tenant_id="big", sha256="{sha256.hexdigest()}")
store.download(Path({str(path)!r} + ".copy"), tenant_id="big", sha256="{sha256.hexdigest()}")
print(peak_kib() - before)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown_mib = int(answer.stdout) / 1024
    assert grown_mib < 40, "a part of 8 MiB, and what boto3 makes of it, fits; the file does not"
    assert (tmp_path / "big.copy").stat().st_size == 64 * 1024 * 1024
