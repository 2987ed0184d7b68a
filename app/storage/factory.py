"""From the address in `LOWBIT_STORAGE_URL` to a store."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from app.storage.directory import DirectoryStore
from app.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from app.storage.s3 import S3Store

S3_PARAMETERS = {"endpoint_url", "public_endpoint_url", "region", "create_bucket"}


def store_from_url(
    url: str,
    *,
    s3_access_key_id: str | None = None,
    s3_secret_access_key: str | None = None,
    scratch_dir: Path | None = None,
) -> ObjectStore:
    """`file:///absolute/directory`, or `s3://bucket/prefix?endpoint_url=...&region=...&create_bucket=true`.

    All parts of the query may be left out. Without the two keys boto3 looks in its usual places (environment, files,
    instance profile). `create_bucket=true` makes a missing bucket now; otherwise nothing is sent before the first use.
    `public_endpoint_url` is where clients reach the server, to send and fetch files there themselves; it is not needed
    at Amazon's. In `scratch_dir` parts of uploads wait that come through us all the same.

    Raises `ValueError` for an address that cannot be right, and `StoreUnavailable`.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(
            "a storage URL holds no credentials: set LOWBIT_S3_ACCESS_KEY_ID and LOWBIT_S3_SECRET_ACCESS_KEY"
        )
    if parts.scheme == "file":
        return _directory_store(parts)
    if parts.scheme == "s3":
        return _s3_store(parts, s3_access_key_id, s3_secret_access_key, scratch_dir)
    raise ValueError(f"a storage URL starts with file:// or s3://, not {parts.scheme!r}")


def _directory_store(parts: SplitResult) -> DirectoryStore:
    directory = Path(unquote(parts.path))
    if parts.netloc or parts.query or not directory.is_absolute():
        raise ValueError("a directory is given as file:///absolute/directory")
    return DirectoryStore(directory)


def _s3_store(
    parts: SplitResult, access_key_id: str | None, secret_access_key: str | None, scratch_dir: Path | None
) -> "S3Store":
    # boto3 costs a second that directory users need not spend
    from app.storage.s3 import S3Store  # noqa: PLC0415
    from app.storage.s3_bucket import Bucket  # noqa: PLC0415

    if not parts.netloc:
        raise ValueError("a bucket is given as s3://bucket or s3://bucket/prefix")
    if (access_key_id is None) != (secret_access_key is None):
        raise ValueError("set both LOWBIT_S3_ACCESS_KEY_ID and LOWBIT_S3_SECRET_ACCESS_KEY, or neither")
    parameters = _s3_parameters(parts.query)
    bucket = Bucket(
        parts.netloc,
        prefix=unquote(parts.path),
        endpoint_url=parameters.get("endpoint_url"),
        public_endpoint_url=parameters.get("public_endpoint_url"),
        region=parameters.get("region"),
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
    )
    store = S3Store(bucket, scratch_dir=scratch_dir)
    if parameters.get("create_bucket") == "true":
        store.create_bucket()
    return store


def _s3_parameters(query: str) -> dict[str, str]:
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := parameters.keys() - S3_PARAMETERS:
        raise ValueError(f"an s3:// URL takes {', '.join(sorted(S3_PARAMETERS))}, not {', '.join(sorted(unknown))}")
    for name in ("endpoint_url", "public_endpoint_url"):
        endpoint = urlsplit(parameters.get(name, "https://default"))
        if endpoint.scheme not in {"http", "https"} or not endpoint.hostname or "@" in endpoint.netloc:
            raise ValueError(f"{name} is http://host:port or https://host:port, without credentials")
    if parameters.get("create_bucket", "false") not in {"true", "false"}:
        raise ValueError("create_bucket is true or false")
    return parameters
