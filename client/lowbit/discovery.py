"""Where the service is and with which key: arguments, environment, else a service on this machine.

Which one on this machine, LOWBIT_DATA_DIR says; without it, the one that the account's note is about.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_dir

from lowbit.errors import NoConnection

ADVICE = (
    "Start one with `lowbit serve` (it comes with the package lowbit-server), "
    "or set LOWBIT_URL and LOWBIT_TOKEN to the address and the key of a service that runs, "
    "or --data-dir or LOWBIT_DATA_DIR to the data directory of one on this machine."
)


@dataclass(frozen=True)
class Connection:
    url: str
    token: str | None = field(repr=False)
    """Left out of `repr`, so that no log shows the key by accident."""


@dataclass(frozen=True)
class RunningService:
    """What `lowbit serve` writes while it runs."""

    url: str
    key_file: Path


def locate(url: str | None = None, token: str | None = None) -> Connection:
    """Fill what was not given.

    The key of the local service goes only to the local service: an address from elsewhere never receives it.

    Raises:
        NoConnection: no address was given and no service runs on this machine, or in the data directory that is named.

    """
    url = url or os.environ.get("LOWBIT_URL") or None
    token = token or os.environ.get("LOWBIT_TOKEN") or None
    running = running_service() if not (url and token) else None
    if url is None:
        if running is None:
            raise NoConnection(_why_none())
        url = running.url
    url = url.strip().rstrip("/")
    if token is None and running is not None and running.url == url:
        token = _read_key(running.key_file)
    return Connection(url=url, token=_checked(token.strip()) if token else None)


def service_file() -> Path:
    """What a service leaves in its data directory; that of the first one on this machine lies in the account's too."""
    folder = data_directory() or Path(user_state_dir("lowbit"))
    return folder / "service.json"


def data_directory() -> Path | None:
    """Of the service that is meant, where several run."""
    named = os.environ.get("LOWBIT_DATA_DIR")
    return Path(named).expanduser() if named else None


def running_service() -> RunningService | None:
    """The service on this machine; None when the file that tells of it is absent or damaged."""
    try:
        told = json.loads(service_file().read_text(encoding="utf-8"))
        return RunningService(url=str(told["url"]).rstrip("/"), key_file=Path(told["key_file"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _why_none() -> str:
    named = data_directory()
    if named is None:
        return f"No Lowbit service is known. {ADVICE}"
    return f"No Lowbit service runs with the data directory {named}: there is no {service_file()}. {ADVICE}"


def _checked(token: str) -> str:
    """A key that cannot be sent in a header is a mistake in copying; say so without repeating it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NoConnection("The key holds characters that no key has. Copy it again, or point LOWBIT_TOKEN at it anew.")
    return token


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NoConnection(
            f"The key of the local service cannot be read: {error}. Set LOWBIT_TOKEN instead."
        ) from error
