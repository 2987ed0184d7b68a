"""Loopback needs nothing. Any other address needs names to answer for and an encrypted way in."""

import socket

from app.serve.refusal import Refusal
from app.settings import Settings

USAGE = 2


def require_safe_bind(settings: Settings) -> None:
    """Refuse an address beyond loopback unless it is made safe, with one line that says what is missing."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise Refusal("--tls-cert and --tls-key belong together.", exit_code=USAGE)
    if is_loopback(settings.host):
        return
    missing = []
    if not settings.allowed_hosts:
        missing.append("--allowed-hosts NAMES")
    if settings.tls_cert is None and not settings.behind_proxy:
        missing.append("--tls-cert FILE --tls-key FILE (or --behind-proxy)")
    if missing:
        raise Refusal(
            f"to bind {settings.host}, which is beyond loopback, add {' and '.join(missing)}.", exit_code=USAGE
        )


def is_loopback(host: str) -> bool:
    """The names under which the service answers for loopback; other loopback addresses are names like any other."""
    return host in {"localhost", "127.0.0.1", "::1"}


def bind(settings: Settings) -> socket.socket:
    """A listening socket, held by the supervisor: a restart of the API process refuses no connection."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise Refusal(f"cannot bind {settings.host}:{settings.port}: {error.strerror}.") from error
    listening.listen(512)
    return listening


def url_of(settings: Settings, port: int) -> str:
    scheme = "https" if settings.tls_cert else "http"
    # bound to every interface: loopback is the one of them that is always answered for
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  compared, not bound
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}"
