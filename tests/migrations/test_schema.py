"""The migrations and the tables say the same."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from app.serve.migrate import migrate
from app.serve.server_user import package_folder
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


def test_every_migration_can_be_taken_back(database: Database) -> None:
    """Within one transaction, which is rolled back: other tests use this database."""
    engine = create_engine(database.owner_url)
    with engine.connect() as connection, connection.begin() as transaction:
        config = Config()
        config.set_main_option("script_location", str(package_folder("migrations")))
        config.attributes["connection"] = connection
        revisions = ScriptDirectory.from_config(config).walk_revisions()  # the newest first
        for revision in revisions:
            command.downgrade(config, str(revision.down_revision or "base"))
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        transaction.rollback()
    engine.dispose()


def test_variants_of_before_have_no_layers(database: Database) -> None:
    """And a worker of the previous version, which names no layers, can still write."""
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        default = connection.scalar(
            text(
                "SELECT column_default FROM information_schema.columns WHERE table_name = 'variants' "
                "AND column_name = 'layers' AND is_nullable = 'NO'"
            )
        )
    engine.dispose()
    assert default == "'[]'::jsonb"


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
