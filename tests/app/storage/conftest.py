"""Both stores, each with a way to look behind its back: what is really there, and damage done to it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import pytest

from app.storage import ObjectStore, store_from_url
from tests.servers.seaweedfs import S3Address

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

TENANT = "tenant-1"
BUCKET = "objects"


class Backing(Protocol):
    """What lies below a store: the disk or the bucket itself."""

    def keys(self) -> list[str]: ...
    def unfinished(self) -> list[str]: ...
    def overwrite(self, key: str, content: bytes) -> None: ...


@dataclass(frozen=True)
class Stored:
    """A store under test and what lies below it."""

    store: ObjectStore
    backing: Backing
    files: Path

    def file(self, content: bytes) -> tuple[Path, str]:
        path = self.files / uuid4().hex
        path.write_bytes(content)
        return path, hashlib.sha256(content).hexdigest()

    def put(self, content: bytes, tenant_id: str = TENANT) -> str:
        path, sha256 = self.file(content)
        self.store.put_file(path, tenant_id=tenant_id, sha256=sha256)
        return sha256

    def read(self, sha256: str, start: int = 0, length: int | None = None, tenant_id: str = TENANT) -> bytes:
        with self.store.open(tenant_id=tenant_id, sha256=sha256, start=start, length=length) as chunks:
            return b"".join(chunks)


@dataclass(frozen=True)
class Disk:
    root: Path

    def keys(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in (self.root / "t").rglob("*") if path.is_file())

    def unfinished(self) -> list[str]:
        return [path.name for path in (self.root / "staging").rglob("*") if path.is_file()]

    def overwrite(self, key: str, content: bytes) -> None:
        (self.root / key).write_bytes(content)


@dataclass(frozen=True)
class Bucket:
    client: "S3Client"
    name: str
    prefix: str

    def keys(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=f"{self.prefix}t/").get("Contents", [])
        return sorted(item["Key"].removeprefix(self.prefix) for item in listed)

    def unfinished(self) -> list[str]:
        listed = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix).get("Uploads", [])
        staged = self.client.list_objects_v2(Bucket=self.name, Prefix=f"{self.prefix}staging/").get("Contents", [])
        return [item["Key"] for item in (*listed, *staged)]

    def overwrite(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=self.prefix + key, Body=content)


@pytest.fixture(params=["directory", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    files = tmp_path / "files"
    files.mkdir()
    if request.param == "directory":
        root = tmp_path / "objects"
        return Stored(store_from_url(root.as_uri()), Disk(root), files)
    address: S3Address = request.getfixturevalue("seaweedfs")
    return Stored(*s3_store(address), files)


def s3_store(address: S3Address) -> tuple[ObjectStore, Bucket]:
    """A store with a prefix of its own. Not a bucket: SeaweedFS sets several volumes aside for each."""
    prefix = f"stores/{uuid4().hex}"
    store = store_from_url(
        f"s3://{BUCKET}/{prefix}?endpoint_url={address.endpoint_url}&region=us-east-1&create_bucket=true"
        f"&public_endpoint_url={address.endpoint_url}",
        s3_access_key_id=address.access_key,
        s3_secret_access_key=address.secret_key,
    )
    return store, Bucket(address.client(), BUCKET, f"{prefix}/")
