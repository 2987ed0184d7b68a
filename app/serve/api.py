"""The API's process: uvicorn on a socket that the supervisor holds, or on an address of its own."""

import argparse
import socket
import sys

import uvicorn

from app.logs import configure_logs
from app.main import create_app
from app.serve.bind_policy import require_safe_bind
from app.serve.refusal import Refusal
from app.settings import SettingMissing, Settings

GRACEFUL_SECONDS = 8
"""Requests under way may end; the supervisor waits a little longer."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the Lowbit API.")
    parser.add_argument("--fd", type=int, default=None, help="descriptor of a listening socket")
    arguments = parser.parse_args()
    settings = Settings()
    configure_logs(settings)
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
    sockets = None if arguments.fd is None else [socket.socket(fileno=arguments.fd)]
    uvicorn.Server(config).run(sockets=sockets)


if __name__ == "__main__":
    main()
