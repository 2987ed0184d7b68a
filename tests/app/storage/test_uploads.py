"""What every store promises about uploads in parts, tried on a real directory and on a real S3 server."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier

import pytest

from app.storage import ChecksumMismatch, Part, PartsInvalid, PartsMissing, UploadMissing
from tests.app.storage.conftest import TENANT, Stored

PARTS = [os.urandom(5 * 1024 * 1024), b"the short tail"]  # S3 joins no part below 5 MiB but the last
WHOLE = b"".join(PARTS)
SHA256 = hashlib.sha256(WHOLE).hexdigest()
ABSENT = "0" * 64


@dataclass(frozen=True)
class Upload:
    """One upload, so that tests name only what they are about."""

    stored: Stored
    upload_id: str
    handle: str

    @property
    def names(self) -> dict[str, str]:
        return {"tenant_id": TENANT, "upload_id": self.upload_id, "handle": self.handle}

    def send(self, number: int, content: bytes) -> Part:
        uploads = self.stored.store.uploads
        with uploads.receive_part(
            **self.names, number=number, part_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        ) as writer:
            for start in range(0, len(content), 1_000_000):
                writer.write(content[start : start + 1_000_000])
            return writer.finish()

    def send_all(self) -> list[Part]:
        return [self.send(number, content) for number, content in enumerate(PARTS, start=1)]

    def held(self) -> list[Part]:
        return self.stored.store.uploads.list_parts(**self.names)

    def assemble(self, parts: Sequence[Part], sha256: str = SHA256, total_bytes: int = len(WHOLE)) -> None:
        named = [(part.number, part.etag) for part in parts]
        self.stored.store.uploads.assemble(**self.names, parts=named, sha256=sha256, total_bytes=total_bytes)

    def abort(self) -> None:
        self.stored.store.uploads.abort(**self.names)


@pytest.fixture
def upload(stored: Stored) -> Upload:
    return Upload(stored, "upl_1", stored.store.uploads.begin(tenant_id=TENANT, upload_id="upl_1"))


def test_parts_in_any_order_become_one_object(stored: Stored, upload: Upload) -> None:
    assert upload.held() == []
    tail, head = upload.send(2, PARTS[1]), upload.send(1, PARTS[0])
    assert upload.held() == [head, tail]
    assert (head.bytes, tail.bytes) == (5 * 1024 * 1024, 14)
    assert stored.backing.keys() == []
    upload.assemble([head, tail])
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256
    assert stored.backing.keys() == [f"t/{TENANT}/sha256/{SHA256[:2]}/{SHA256}"]
    assert stored.backing.unfinished() == []


def test_an_upload_of_one_empty_part(stored: Stored, upload: Upload) -> None:
    part = upload.send(1, b"")
    sha256 = hashlib.sha256(b"").hexdigest()
    upload.assemble([part], sha256, 0)
    assert stored.read(sha256) == b""


def test_assembling_twice_is_assembling_once(stored: Stored, upload: Upload) -> None:
    parts = upload.send_all()
    upload.assemble(parts)
    upload.assemble(parts)
    assert stored.store.size(tenant_id=TENANT, sha256=SHA256) == len(WHOLE)
    with pytest.raises(UploadMissing):
        upload.held()
    with pytest.raises(UploadMissing):
        upload.send(1, b"too late")
    with pytest.raises(UploadMissing):
        upload.assemble(parts, ABSENT)


def test_assembling_twice_at_once(stored: Stored, upload: Upload) -> None:
    parts = upload.send_all()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: upload.assemble(parts), range(3)))
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256
    assert stored.backing.unfinished() == []


def test_an_object_that_is_there_already_is_kept(stored: Stored, upload: Upload) -> None:
    stored.put(WHOLE)
    damaged = bytes(len(WHOLE))
    stored.backing.overwrite(stored.backing.keys()[0], damaged)  # so that a second copy would be seen
    upload.assemble(upload.send_all())
    assert stored.read(SHA256) == damaged
    assert stored.backing.unfinished() == []


def test_parts_that_are_missing_are_named_and_can_still_come(stored: Stored, upload: Upload) -> None:
    tail = upload.send(2, PARTS[1])
    with pytest.raises(PartsMissing, match="not arrived: 1, 7") as caught:
        upload.assemble([Part(1, len(PARTS[0]), "0"), tail, Part(7, 1, "0")])
    assert caught.value.numbers == (1, 7)
    upload.assemble([upload.send(1, PARTS[0]), tail])
    assert stored.store.size(tenant_id=TENANT, sha256=SHA256) == len(WHOLE)


def test_a_wrong_etag_is_named_and_shows_nothing(stored: Stored, upload: Upload) -> None:
    parts = upload.send_all()
    with pytest.raises(PartsInvalid) as caught:
        upload.assemble([parts[0], replace(parts[1], etag=parts[0].etag)])
    assert caught.value.numbers == (2,)
    assert stored.backing.keys() == []
    assert upload.held() == parts


def test_a_part_that_is_sent_again_replaces_the_first(stored: Stored, upload: Upload) -> None:
    wrong = upload.send(2, b"another tail!!")
    parts = upload.send_all()
    assert wrong.etag != parts[1].etag
    upload.assemble(parts)
    assert hashlib.sha256(stored.read(SHA256)).hexdigest() == SHA256
    assert stored.backing.unfinished() == []


def test_etags_may_come_as_http_writes_them(stored: Stored, upload: Upload) -> None:
    upload.assemble([replace(part, etag=f'"{part.etag}"') for part in upload.send_all()])
    assert stored.store.size(tenant_id=TENANT, sha256=SHA256) == len(WHOLE)


def test_a_wrong_digest_shows_nothing_and_stays_wrong(stored: Stored, upload: Upload) -> None:
    parts = upload.send_all()
    for _ in range(2):
        with pytest.raises(ChecksumMismatch):
            upload.assemble(parts, ABSENT)
    assert stored.backing.keys() == []
    upload.abort()
    assert stored.backing.unfinished() == []


def test_a_wrong_size_is_refused_while_parts_can_still_come(stored: Stored, upload: Upload) -> None:
    parts = upload.send_all()
    with pytest.raises(ChecksumMismatch, match="5242894 bytes together, 5242895 were announced"):
        upload.assemble(parts, total_bytes=len(WHOLE) + 1)  # 5 MiB + 14
    upload.assemble(parts)


@pytest.mark.parametrize("order", [[], [1, 1], [2, 1]])
def test_parts_out_of_order_are_the_callers_error(upload: Upload, order: list[int]) -> None:
    with pytest.raises(ValueError, match="by rising number"):
        upload.assemble([Part(number, 1, "0") for number in order])


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_numbers_that_no_store_takes(upload: Upload, number: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 10000"):
        upload.send(number, b"x")


@pytest.mark.parametrize("upload_id", ["", "..", "a/b", "x" * 65])
def test_names_that_could_leave_the_store_are_refused(stored: Stored, upload_id: str) -> None:
    with pytest.raises(ValueError, match="an upload id is"):
        stored.store.uploads.begin(tenant_id=TENANT, upload_id=upload_id)


def test_aborting_twice_frees_everything(stored: Stored, upload: Upload) -> None:
    upload.send(1, PARTS[0])
    for _ in range(2):
        upload.abort()
        assert stored.backing.unfinished() == []
        assert list(stored.store.uploads.staged_uploads()) == []
    with pytest.raises(UploadMissing):
        upload.held()
    with pytest.raises(UploadMissing):
        upload.send(1, b"too late")
    with pytest.raises(UploadMissing):
        upload.assemble([Part(1, 1, "0")])


def test_aborting_after_assembling_keeps_the_object(stored: Stored, upload: Upload) -> None:
    upload.assemble(upload.send_all())
    upload.abort()
    assert stored.store.size(tenant_id=TENANT, sha256=SHA256) == len(WHOLE)


@pytest.mark.parametrize(
    ("content", "sha256", "advice"),
    [
        (b"short", None, "10 bytes were announced, 5 arrived"),
        (b"far too long", None, "10 bytes were announced, more arrived"),
        (b"0123456789", ABSENT, "expected sha256 0000"),
    ],
)
def test_a_part_that_is_not_as_announced_is_not_listed(
    stored: Stored, upload: Upload, content: bytes, sha256: str | None, advice: str
) -> None:
    def send() -> None:
        with stored.store.uploads.receive_part(**upload.names, number=1, part_bytes=10, sha256=sha256) as writer:
            writer.write(content)
            writer.finish()

    with pytest.raises(ChecksumMismatch, match=advice):
        send()
    assert upload.held() == []


def test_a_part_whose_client_went_away_leaves_nothing(stored: Stored, upload: Upload) -> None:
    before = stored.backing.unfinished()
    with stored.store.uploads.receive_part(**upload.names, number=1, part_bytes=10) as writer:
        writer.write(b"half")
    assert upload.held() == []
    assert stored.backing.unfinished() == before


def test_a_part_that_never_ends_blocks_nobody(stored: Stored, upload: Upload) -> None:
    with stored.store.uploads.receive_part(**upload.names, number=2, part_bytes=10) as writer:
        writer.write(b"half")
        parts = upload.send_all()
        assert upload.held() == parts
        upload.assemble(parts)
    assert stored.backing.unfinished() == []


def test_two_writers_of_one_part_leave_one_whole_part(stored: Stored, upload: Upload) -> None:
    contents = [bytes([letter]) * 3_000_000 for letter in b"abcd"]
    together = Barrier(len(contents))

    def send(content: bytes) -> Part:
        together.wait()
        return upload.send(1, content)

    with ThreadPoolExecutor(len(contents)) as pool:
        sent = list(pool.map(send, contents))
    (held,) = upload.held()
    winner = contents[sent.index(held)]
    sha256 = hashlib.sha256(winner).hexdigest()
    upload.assemble([held], sha256, len(winner))
    assert stored.read(sha256) == winner


def test_staged_uploads_are_found_with_their_handles(stored: Stored, upload: Upload) -> None:
    other = stored.store.uploads.begin(tenant_id="other", upload_id="upl_2")
    upload.send(1, b"x")
    found = {staged.upload_id: staged for staged in stored.store.uploads.staged_uploads()}
    assert (found["upl_1"].tenant_id, found["upl_1"].handle) == (TENANT, upload.handle)
    assert (found["upl_2"].tenant_id, found["upl_2"].handle) == ("other", other)
    assert all(-2 < staged.idle_seconds < 60 for staged in found.values())
    for staged in found.values():
        stored.store.uploads.abort(tenant_id=staged.tenant_id, upload_id=staged.upload_id, handle=staged.handle)
    assert list(stored.store.uploads.staged_uploads()) == []


def test_abandoned_files_are_not_uploads(stored: Stored, upload: Upload) -> None:
    part = upload.send(1, b"x")
    stored.store.discard_abandoned(-60)
    assert upload.held() == [part]
