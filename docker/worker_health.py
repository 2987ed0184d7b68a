"""Container health check of a worker: exit status 0 while this container's worker answers a ping through the broker.

Every worker gets the ping; only an answer from this host counts, and a container's host name is its own.
"""

import socket
import sys

from workers.celery_app import celery

TIMEOUT_SECONDS = 5  # always waited in full: more workers might answer


def main() -> int:
    host = socket.gethostname()
    try:
        answers = celery.control.ping(timeout=TIMEOUT_SECONDS) or []
    except Exception as error:  # noqa: BLE001 - whatever keeps the ping from coming back means the same here
        sys.stderr.write(f"no ping: {error}\n")
        return 1
    names = [name for answer in answers for name in answer]
    if any(name.rpartition("@")[2] == host for name in names):
        return 0
    sys.stderr.write(f"no answer from {host}, only from {names}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
