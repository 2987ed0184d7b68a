"""What is particular to S3: signed URLs, crashes between its steps, copies in pieces, dates of objects."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from app.storage import StoreUnavailable, s3_copy, store_from_url
from app.storage.s3_bucket import Bucket
from app.storage.s3_uploads import S3Uploads
from tests.app.storage.conftest import BUCKET, TENANT, Stored, s3_store
from tests.servers.seaweedfs import S3Address

PARTS = [os.urandom(5 * 1024 * 1024), b"the short tail"]  # S3 joins no part below 5 MiB but the last
WHOLE = b"".join(PARTS)
SHA256 = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture
def stored(seaweedfs: S3Address, tmp_path: Path) -> Stored:
    return Stored(*s3_store(seaweedfs), tmp_path)


@pytest.fixture
def names(stored: Stored) -> dict[str, str]:
    handle = stored.store.uploads.begin(tenant_id=TENANT, upload_id="upl_1")
    return {"tenant_id": TENANT, "upload_id": "upl_1", "handle": handle}


def part_url(stored: Stored, names: dict[str, str], number: int, part_bytes: int) -> str:
    url = stored.store.uploads.part_url(**names, number=number, part_bytes=part_bytes, expires_seconds=60)
    assert url is not None
    return url


def put(url: str, content: bytes) -> httpx2.Response:
    return httpx2.put(url, content=content, timeout=30)


def send_all(stored: Stored, names: dict[str, str]) -> list[tuple[int, str]]:
    answers = [put(part_url(stored, names, n, len(content)), content) for n, content in enumerate(PARTS, start=1)]
    return [(number, answer.headers["etag"]) for number, answer in enumerate(answers, start=1)]


def assemble(stored: Stored, names: dict[str, str], parts: list[tuple[int, str]]) -> None:
    stored.store.uploads.assemble(**names, parts=parts, sha256=SHA256, total_bytes=len(WHOLE))


def test_parts_by_signed_url_become_an_object(stored: Stored, names: dict[str, str]) -> None:
    parts = send_all(stored, names)
    assert [(part.number, f'"{part.etag}"') for part in stored.store.uploads.list_parts(**names)] == parts
    assemble(stored, names, parts)
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256


def test_a_signed_url_is_good_for_one_part_of_one_size(stored: Stored, names: dict[str, str]) -> None:
    url = part_url(stored, names, 1, 10)
    assert put(url.replace("partNumber=1", "partNumber=2"), bytes(10)).status_code == 403
    assert put(url, bytes(11)).status_code == 403
    assert put(url[:-1] + ("0" if url[-1] != "0" else "1"), bytes(10)).status_code == 403
    assert httpx2.get(url).status_code == 403
    assert stored.store.uploads.list_parts(**names) == []
    assert put(url, bytes(10)).status_code == 200


def test_a_signed_url_is_worth_nothing_after_assembling(stored: Stored, names: dict[str, str]) -> None:
    assemble(stored, names, send_all(stored, names))
    assert put(part_url(stored, names, 1, 10), bytes(10)).status_code == 404
    assert stored.backing.unfinished() == []


def test_a_signed_download_is_an_attachment(stored: Stored) -> None:
    sha256 = stored.put(b"<script>alert(1)</script>")
    url = stored.store.download_url(tenant_id=TENANT, sha256=sha256, filename='a "b"; ü.html', expires_seconds=60)
    assert url is not None
    answer = httpx2.get(url)
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22b%22%3B%20%C3%BC.html"
    assert httpx2.get(url.replace("octet-stream", "javascript")).status_code == 403
    assert httpx2.get(url.split("?")[0]).status_code == 403


def test_no_url_where_clients_cannot_reach_the_server(seaweedfs: S3Address) -> None:
    store = store_from_url(
        f"s3://{BUCKET}?region=us-east-1&endpoint_url={seaweedfs.endpoint_url}",
        s3_access_key_id=seaweedfs.access_key,
        s3_secret_access_key=seaweedfs.secret_key,
    )
    part = {"upload_id": "upl_1", "handle": "h", "number": 1, "part_bytes": 1}
    assert store.uploads.part_url(tenant_id=TENANT, expires_seconds=60, **part) is None
    assert store.download_url(tenant_id=TENANT, sha256=SHA256, filename="x", expires_seconds=60) is None


def test_urls_name_the_public_server() -> None:
    store = store_from_url(
        "s3://bucket/prefix?region=eu-west-1&endpoint_url=http://s3:8333&public_endpoint_url=https://files.example.org",
        s3_access_key_id="id",
        s3_secret_access_key="secret",
    )
    url = store.download_url(tenant_id=TENANT, sha256=SHA256, filename="x", expires_seconds=60)
    assert url is not None
    assert url.startswith(f"https://files.example.org/bucket/prefix/t/{TENANT}/sha256/")


def test_amazon_is_reached_by_everybody() -> None:
    store = store_from_url("s3://bucket?region=eu-west-1", s3_access_key_id="id", s3_secret_access_key="secret")
    url = store.download_url(tenant_id=TENANT, sha256=SHA256, filename="x", expires_seconds=60)
    assert url is not None
    assert url.startswith("https://s3.eu-west-1.amazonaws.com/bucket/t/")


def away(*_: object, **__: object) -> None:
    raise StoreUnavailable("the server is away")


def test_interrupted_after_the_parts_were_joined(
    stored: Stored, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = send_all(stored, names)
    with monkeypatch.context() as patch:
        patch.setattr(S3Uploads, "_publish", away)
        with pytest.raises(StoreUnavailable):
            assemble(stored, names, parts)
    assert stored.backing.keys() == []
    (staged,) = stored.store.uploads.staged_uploads()
    assert (staged.tenant_id, staged.upload_id, staged.handle) == (TENANT, "upl_1", "")
    assemble(stored, names, parts)
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256
    assert stored.backing.unfinished() == []


def test_interrupted_after_the_copy(stored: Stored, names: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = send_all(stored, names)
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete", away)
        with pytest.raises(StoreUnavailable):
            assemble(stored, names, parts)
    assert len(stored.backing.unfinished()) == 1
    assemble(stored, names, parts)
    assert stored.store.size(tenant_id=TENANT, sha256=SHA256) == len(WHOLE)
    assert stored.backing.unfinished() == []


def test_what_was_joined_is_freed_without_a_handle(
    stored: Stored, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = send_all(stored, names)
    monkeypatch.setattr(S3Uploads, "_publish", away)
    with pytest.raises(StoreUnavailable):
        assemble(stored, names, parts)
    stored.store.uploads.abort(tenant_id=TENANT, upload_id="upl_1", handle="")
    assert stored.backing.unfinished() == []


def test_a_large_object_is_copied_in_pieces(
    stored: Stored, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_copy, "PIECE_BYTES", 5 * 1024 * 1024)  # the least that S3 joins: one piece and 14 bytes
    assemble(stored, names, send_all(stored, names))
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256
    assert stored.backing.unfinished() == []


def test_a_second_put_writes_an_old_object_anew(
    seaweedfs: S3Address, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dates count whole seconds, so a type that only a new copy changes shows it instead."""
    sha256 = stored.put(b"xyz")
    key = Bucket.path(stored.store._bucket, stored.backing.keys()[0])
    seaweedfs.client().put_object(Bucket=BUCKET, Key=key, Body=b"xyz", ContentType="text/plain")
    monkeypatch.setattr(s3_copy, "RENEWED_AFTER_SECONDS", 3600)
    stored.put(b"xyz")
    assert seaweedfs.client().head_object(Bucket=BUCKET, Key=key)["ContentType"] == "text/plain", "young enough"
    monkeypatch.setattr(s3_copy, "RENEWED_AFTER_SECONDS", -60)
    stored.put(b"xyz")
    assert seaweedfs.client().head_object(Bucket=BUCKET, Key=key)["ContentType"] == "application/octet-stream"
    assert stored.read(sha256) == b"xyz"


def test_uploads_of_killed_processes_are_freed(seaweedfs: S3Address, stored: Stored, names: dict[str, str]) -> None:
    stored.put(b"x")
    path = Bucket.path(stored.store._bucket, stored.backing.keys()[0])
    seaweedfs.client().create_multipart_upload(Bucket=BUCKET, Key=path)
    stored.store.discard_abandoned(3600)
    assert path in stored.backing.unfinished()
    stored.store.discard_abandoned(-60)
    assert path not in stored.backing.unfinished()
    assert len(list(stored.store.uploads.staged_uploads())) == 1


def test_a_scratch_disk_that_is_away_is_unavailable(seaweedfs: S3Address, tmp_path: Path) -> None:
    store = store_from_url(
        f"s3://{BUCKET}?region=us-east-1&endpoint_url={seaweedfs.endpoint_url}",
        s3_access_key_id=seaweedfs.access_key,
        s3_secret_access_key=seaweedfs.secret_key,
        scratch_dir=tmp_path / "away",
    )
    part = {"upload_id": "upl_1", "handle": "h", "number": 1, "part_bytes": 1}
    with pytest.raises(StoreUnavailable, match="scratch disk"), store.uploads.receive_part(tenant_id=TENANT, **part):
        pass


def test_a_part_of_64_mib_goes_through_in_flat_memory(seaweedfs: S3Address, tmp_path: Path) -> None:
    block = bytes(1024 * 1024)
    sha256 = hashlib.sha256(block * 64).hexdigest()
    script = f"""
import re
from pathlib import Path
from app.storage import store_from_url
def peak_kib():  # of this program only; getrusage would count what it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
store = store_from_url(
    "s3://{BUCKET}?region=us-east-1&endpoint_url={seaweedfs.endpoint_url}",
    s3_access_key_id="{seaweedfs.access_key}", s3_secret_access_key="{seaweedfs.secret_key}",
    scratch_dir=Path({str(tmp_path)!r}))
store.check()
before = peak_kib()
names = dict(tenant_id="big", upload_id="upl_1", handle=store.uploads.begin(tenant_id="big", upload_id="upl_1"))
with store.uploads.receive_part(**names, number=1, part_bytes=64 * 1024 * 1024) as writer:
    for _ in range(64):
        writer.write(bytes(1024 * 1024))
    part = writer.finish()
store.uploads.assemble(**names, parts=[(1, part.etag)], sha256="{sha256}", total_bytes=64 * 1024 * 1024)
print(peak_kib() - before)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (grown_kib,) = re.findall(r"\d+", answer.stdout)
    assert int(grown_kib) / 1024 < 20, "chunks of 1 MiB, and what boto3 makes of them, fit; the part does not"
