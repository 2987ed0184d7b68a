"""The store that the settings name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.settings import Settings
from app.storage.errors import StoreUnavailable
from app.storage.factory import store_from_url
from app.storage.object_store import ObjectStore


def configured_store(settings: Settings) -> ObjectStore:
    secret = settings.s3_secret_access_key
    return store_from_url(
        settings.require_storage_url(),
        s3_access_key_id=settings.s3_access_key_id,
        s3_secret_access_key=secret.get_secret_value() if secret else None,
        scratch_dir=settings.scratch_dir,
    )


def existing_store(settings: Settings) -> ObjectStore:
    """For workers, who make no directory: where it is missing, its disk is not mounted. Raises `StoreUnavailable`."""
    parts = urlsplit(settings.require_storage_url())
    if parts.scheme == "file" and not Path(unquote(parts.path)).is_dir():
        raise StoreUnavailable("the storage directory is not there: is its disk mounted?")
    return configured_store(settings)
