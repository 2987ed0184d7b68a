"""The first key: made when the service starts for the first time, kept in a file that only its owner can read."""

from pathlib import Path

from sqlalchemy import create_engine, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.auth.keys import Key, generate, parse
from app.serve.data_directory import write_private
from app.serve.refusal import Refusal
from app.settings import Settings
from app.tables import DEFAULT_TENANT_ID, ApiKey
from app.tenancy import seen_by

ADMIN = "admin"


def key_in_file(path: Path) -> tuple[Key, bool]:
    """The key of the file, and whether it was made just now."""
    if path.exists():
        key = parse(path.read_text().strip())
        if key is None:
            raise Refusal(f"{path} does not hold a key; remove it to have a new one made.")
        return key, False
    key = generate()
    write_private(path, key.text())
    return key, True


def key_in_settings(settings: Settings) -> Key | None:
    if settings.admin_key is None:
        return None
    key = parse(settings.admin_key.get_secret_value())
    if key is None:
        raise Refusal("LOWBIT_ADMIN_KEY is not a key; `python -m app.auth.keys` makes one.")
    return key


def admit(database_url: str, key: Key, *, name: str) -> None:
    """Record the key's digest, so that the gate knows it, and revoke the key that had its name before."""
    engine = create_engine(database_url, connect_args={"connect_timeout": 10}, hide_parameters=True)
    with Session(engine, info=seen_by(DEFAULT_TENANT_ID)) as session, session.begin():
        earlier = update(ApiKey).where(ApiKey.name == name, ApiKey.id != key.id, ApiKey.revoked_at.is_(None))
        earlier = earlier.where(ApiKey.created_by.is_(None))  # keys that users made may be called the same
        session.execute(earlier.values(revoked_at=func.clock_timestamp()))
        row = {"tenant_id": DEFAULT_TENANT_ID, "name": name, "secret_sha256": key.secret_sha256(), "scopes": ["*"]}
        new = insert(ApiKey).values(id=key.id, **row)
        session.execute(new.on_conflict_do_update(index_elements=[ApiKey.id], set_={**row, "revoked_at": None}))
    engine.dispose()
