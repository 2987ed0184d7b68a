"""A real Postgres for tests, started as `lowbit serve` starts its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import NullPool, Row, create_engine, make_url, text

from app.serve.data_directory import DataDirectory, SocketDirectory
from app.serve.migrate import migrate
from app.serve.postgres import PrivatePostgres
from app.serve.server_user import server_identity
from app.settings import Settings
from app.tables import Base
from tests.servers.folders import short_folder


class Database(NamedTuple):
    url: str
    """As the application's role."""
    owner_url: str

    def execute(self, statement: str, **parameters: object) -> Sequence[Row[Any]]:
        """Run one statement that sees every tenant's rows, as the application's role, and return what it returns."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SELECT set_config('app.tenant_id', '*', true)"))
            result = connection.execute(text(statement), parameters)
            return result.all() if result.returns_rows else []

    def empty(self) -> None:
        """Remove what tests have left: the server is shared, and some of them count all there is, or change it."""
        kept = {"tenants", "api_keys", "audit_log"}
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SELECT set_config('app.tenant_id', '*', true)"))
            for table in reversed(Base.metadata.sorted_tables):
                if table.name not in kept:
                    connection.execute(table.delete())

    def another(self) -> "Database":
        """A migrated database of its own on the same server, which costs a second and not a server's start.

        The loops of an API that other tests share reap jobs, send webhooks and expire uploads, whoever made them:
        a test that does one of these by hand must not share a database with it.
        """
        name = f"lowbit_{uuid4().hex}"
        engine = create_engine(self.owner_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        made = Database(*(make_url(url).set(database=name).render_as_string(hide_password=False) for url in self))
        migrate(Settings.model_validate({"database_url": made.url, "database_owner_url": made.owner_url}))
        return made


@contextmanager
def running_postgres() -> Iterator[Database]:
    """A migrated database."""
    with short_folder() as folder:
        identity = server_identity(None)
        data = DataDirectory(folder)
        data.prepare(identity)
        sockets = SocketDirectory(data, identity)
        postgres = PrivatePostgres(data, sockets.path, identity)
        postgres.initialise()
        child = postgres.child()
        child.start()
        try:
            postgres.wait_until_ready(child)
            postgres.ensure_database()
            settings = Settings.model_validate(
                {"database_url": postgres.application_url(), "database_owner_url": postgres.owner_url()}
            )
            migrate(settings)
            yield Database(settings.require_database_url(), settings.require_database_owner_url())
        finally:
            child.stop()
