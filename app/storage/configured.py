"""The store that the settings name."""

from app.settings import Settings
from app.storage.factory import store_from_url
from app.storage.protocol import ObjectStore


def configured_store(settings: Settings) -> ObjectStore:
    secret = settings.s3_secret_access_key
    return store_from_url(
        settings.require_storage_url(),
        s3_access_key_id=settings.s3_access_key_id,
        s3_secret_access_key=secret.get_secret_value() if secret else None,
        scratch_dir=settings.scratch_dir,
    )
