"""Brings the database's schema up to date, as its owner, and gives the application's role its rights.

Runs under an advisory lock, so that several processes may start at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from app.serve.admin_key import ADMIN, admit, key_in_settings
from app.serve.refusal import Refusal
from app.serve.server_user import package_folder
from app.settings import SettingMissing, Settings

ADVISORY_LOCK = 0x10B17  # "lowbit"; any constant that nobody else uses in this database
LOCK_MS = "60000"


def migrate(settings: Settings) -> None:
    owner_url = settings.require_database_owner_url()
    role = make_url(settings.require_database_url()).username
    engine = create_engine(owner_url, connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection, _locked(connection):
            upgrade(connection)
            if role and role != make_url(owner_url).username:
                _grant(connection, role)
    finally:
        engine.dispose()


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    _lock(connection)
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": ADVISORY_LOCK})
        connection.commit()


def _lock(connection: Connection) -> None:
    """Wait for whoever migrates now, within reason: one that hangs must not hang every process that starts."""
    connection.execute(text("SELECT set_config('lock_timeout', :milliseconds, true)"), {"milliseconds": LOCK_MS})
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": ADVISORY_LOCK})
    except OperationalError as error:
        raise Refusal(
            "another process has been changing the database's schema for a minute. If it hangs, end it and start again."
        ) from error
    connection.commit()


def migrate_and_admit(settings: Settings) -> None:
    """What a fleet runs once before its processes start: the schema, and the first key if one is set."""
    key = key_in_settings(settings)
    migrate(settings)
    if key is not None:
        admit(settings.require_database_owner_url(), key, name=ADMIN)


def upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(package_folder("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _grant(connection: Connection, role: str) -> None:
    """The application's role may read and write rows; it owns nothing and can change no table."""
    name = connection.dialect.identifier_preparer.quote(role)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {name}",
        f"REVOKE UPDATE, DELETE ON audit_log FROM {name}",  # what was written there stays
    ):
        connection.execute(text(statement))
    connection.commit()


if __name__ == "__main__":
    try:
        migrate_and_admit(Settings())
    except (SettingMissing, Refusal) as refusal:
        sys.exit(f"lowbit: {refusal}")
