"""The first key: made when the service starts for the first time, kept in a file that only its owner can read."""

from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects.postgresql import insert

from app.auth.keys import Key, generate, parse
from app.serve.data_directory import write_private
from app.serve.refusal import Refusal
from app.settings import Settings
from app.tables import DEFAULT_TENANT_ID, ApiKey


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


def admit(database_url: str, key: Key) -> None:
    """Record the key's digest, so that the gate knows it."""
    engine = create_engine(database_url, connect_args={"connect_timeout": 10})
    with engine.begin() as connection:
        _upsert(connection, key)
    engine.dispose()


def _upsert(connection: Connection, key: Key) -> None:
    row = {"tenant_id": DEFAULT_TENANT_ID, "name": "admin", "secret_sha256": key.secret_sha256()}
    statement = insert(ApiKey).values(id=key.id, **row).on_conflict_do_nothing()
    connection.execute(statement)
