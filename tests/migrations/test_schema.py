"""The migrations and the tables say the same."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from app.serve.migrate import migrate
from app.settings import Settings
from app.tables import Base
from tests.servers.postgres import Database


def test_the_migrated_schema_is_the_one_the_tables_describe(database: Database) -> None:
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate(Settings.model_validate({"database_url": database.url, "database_owner_url": database.owner_url}))


def test_the_applications_role_is_no_superuser_and_owns_nothing(database: Database) -> None:
    engine = create_engine(database.url)
    with engine.connect() as connection:
        role = connection.execute(
            text("SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user")
        ).one()
        owned = connection.scalar(text("SELECT count(*) FROM pg_tables WHERE tableowner = current_user"))
    engine.dispose()
    assert not any(role)
    assert owned == 0
