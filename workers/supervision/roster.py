"""Says every few seconds, from the worker's main process, that this worker is alive. See `app.targets.roster`."""

import os
import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.targets import roster
from app.targets.roster import Presence

log = structlog.get_logger("lowbit.roster")

STOP_SECONDS = 5.0
"""A database that hangs must not keep a worker from stopping: its row grows old by itself."""


class RosterEntry:
    """The row of this worker, refreshed by a thread."""

    def __init__(self, presence: Presence, engine: Engine) -> None:
        self.presence = presence
        self._engine = engine
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._refresh_for_ever, name="roster", daemon=True)

    def start(self) -> None:
        # a child that Celery forks later must not use, or close, a connection that is its parent's
        os.register_at_fork(after_in_child=lambda: self._engine.dispose(close=False))
        self._thread.start()

    def stop(self) -> None:
        """Strike the row out: this worker is not missed, it has left."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _refresh_for_ever(self) -> None:
        while True:
            self._write()
            if self._stopping.wait(roster.REFRESH_SECONDS):
                break
        self._strike_out()
        self._engine.dispose()

    def _write(self) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(roster.present(self.presence))
                connection.execute(roster.forgotten())
        except DBAPIError as error:
            log.warning("the roster cannot be reached", error=type(error).__name__)

    def _strike_out(self) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(roster.gone(self.presence.id))
        except DBAPIError as error:
            log.warning("left without a word", error=type(error).__name__)
