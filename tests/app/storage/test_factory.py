"""Storage addresses: what they mean, and what is refused with which advice."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.storage import store_from_url
from app.storage.directory import DirectoryStore
from app.storage.s3 import S3Store


def test_a_directory(tmp_path: Path) -> None:
    assert isinstance(store_from_url(f"file://{tmp_path}/with%20space"), DirectoryStore)
    assert (tmp_path / "with space" / "staging").is_dir()


def test_a_bucket_is_not_contacted_before_it_is_used() -> None:
    assert isinstance(store_from_url("s3://bucket/prefix?endpoint_url=http://127.0.0.1:1&region=eu-west-1"), S3Store)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "starts with file:// or s3://"),
        ("/var/lib/objects", "starts with file:// or s3://"),
        ("https://host/bucket", "starts with file:// or s3://"),
        ("file:relative", "file:///absolute/directory"),
        ("file://host/directory", "file:///absolute/directory"),
        ("file:///directory?region=x", "file:///absolute/directory"),
        ("s3:///prefix", "s3://bucket"),
        ("s3://KEY:SECRET@bucket", "LOWBIT_S3_ACCESS_KEY_ID"),
        ("s3://bucket?endpoint_url=http://KEY:SECRET@host:9000", "without credentials"),
        ("s3://bucket?endpoint_url=host:9000", "http://host:port"),
        (
            "s3://bucket?endpont_url=http://host:9000",
            "takes create_bucket, endpoint_url, public_endpoint_url, region, not",
        ),
        ("s3://bucket?public_endpoint_url=host:9000", "public_endpoint_url is http://host:port"),
        ("s3://bucket?create_bucket=yes", "true or false"),
    ],
)
def test_an_address_that_cannot_be_right(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice.replace("?", r"\?")) as caught:
        store_from_url(url)
    assert "SECRET@" not in str(caught.value)


@pytest.mark.parametrize("keys", [("id", None), (None, "secret")])
def test_half_a_pair_of_keys(keys: tuple[str | None, str | None]) -> None:
    with pytest.raises(ValueError, match="both"):
        store_from_url("s3://bucket?region=us-east-1", s3_access_key_id=keys[0], s3_secret_access_key=keys[1])


def test_a_directory_needs_no_boto3(tmp_path: Path) -> None:
    script = f"""
import sys
from app.storage import store_from_url
store_from_url("file://{tmp_path}/objects").check()
assert not {{"boto3", "botocore"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
