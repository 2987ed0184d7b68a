import threading
import time

from sqlalchemy import create_engine, text

from app.targets.roster import Presence
from tests.servers.postgres import Database
from workers.supervision.roster import RosterEntry

WORKER = Presence("wrk_entry", "host", 1, ["gpu"], 1, "0")


def test_a_worker_is_listed_from_its_start_to_its_stop(database: Database) -> None:
    engine = create_engine(database.url)

    def listed() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text("SELECT count(*) FROM workers WHERE id = 'wrk_entry'")) or 0)

    entry = RosterEntry(WORKER, create_engine(database.url))
    entry.start()
    deadline = time.monotonic() + 60
    while not listed() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert listed() == 1
    entry.stop()
    assert listed() == 0
    engine.dispose()


def test_a_worker_stops_though_the_database_is_away() -> None:
    entry = RosterEntry(WORKER, create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing"))
    entry.start()
    entry.stop()
    assert "roster" not in {thread.name for thread in threading.enumerate()}
