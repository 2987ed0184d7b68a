"""A real Valkey for tests, started as `lowbit serve` starts its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.serve.data_directory import DataDirectory, SocketDirectory
from app.serve.server_user import server_identity
from app.serve.valkey import PrivateValkey
from tests.servers.folders import short_folder


@contextmanager
def running_valkey() -> Iterator[str]:
    """Yields its URL, as Celery spells it."""
    with short_folder() as folder:
        identity = server_identity(None)
        data = DataDirectory(folder)
        data.prepare(identity)
        valkey = PrivateValkey(data, SocketDirectory(data, identity).path, identity)
        child = valkey.child()
        child.start()
        try:
            valkey.wait_until_ready(child)
            yield valkey.url()
        finally:
            child.stop()
