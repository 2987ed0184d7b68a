import pytest
from sqlalchemy import create_engine, text

from app.serve import migrate as module
from app.serve.migrate import ADVISORY_LOCK, migrate
from app.serve.refusal import Refusal
from app.settings import Settings
from tests.servers.postgres import Database


def test_a_migration_that_hangs_does_not_hang_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_MS", "200")
    settings = Settings.model_validate({"database_url": database.url, "database_owner_url": database.owner_url})
    engine = create_engine(database.owner_url)
    with engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": ADVISORY_LOCK})
        with pytest.raises(Refusal, match="schema"):
            migrate(settings)
    engine.dispose()
    migrate(settings)
