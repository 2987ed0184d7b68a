"""The API's process: uvicorn on a socket that the supervisor holds, or on an address of its own."""

import argparse
import gc
import socket
import sys

import uvicorn

from app.changes.hub import Hub
from app.logs import configure_logs
from app.main import create_app
from app.observability.tracing import configure_tracing
from app.serve.bind_policy import require_safe_bind
from app.serve.refusal import Refusal
from app.settings import SettingMissing, Settings
from app.undumpable import forbid_inspection

GRACEFUL_SECONDS = 8
"""Requests under way may end; the supervisor waits a little longer."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the Lowbit API.")
    parser.add_argument("--fd", type=int, default=None, help="descriptor of a listening socket")
    arguments = parser.parse_args()
    forbid_inspection()
    settings = Settings()
    configure_logs(settings)
    configure_tracing("lowbit-api")
    try:
        require_safe_bind(settings)
        app = create_app(settings)
    except (Refusal, SettingMissing, ValueError) as error:
        sys.exit(f"lowbit: {error}")
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="*" if settings.behind_proxy else None,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        timeout_keep_alive=30,
    )
    _spare_pauses()
    sockets = None if arguments.fd is None else [socket.socket(fileno=arguments.fd)]
    _Server(config, app.state.hub).run(sockets=sockets)


def _spare_pauses() -> None:
    """Search for garbage more rarely: with a thousand streams open, going through everything takes a fifth of a second.

    Nearly everything here is freed by its reference count; what is left to the collector are cycles of failed requests.
    """
    gc.freeze()  # what is there now stays
    gc.set_threshold(20_000, 10, 10)


class _Server(uvicorn.Server):
    """Tells whoever waits inside a request when the process is to stop: they would outlast `GRACEFUL_SECONDS`."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self.hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.close()
        await super().shutdown(sockets)


if __name__ == "__main__":
    main()
