"""Container health check of the API: exit status 0 while the process answers.

Only liveness. Whether database, broker and store answer too is `/readyz`, for the load balancer: restarting the API
would not mend them.
"""

import os
import ssl
import sys
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT_SECONDS = 4


def main() -> int:
    with_tls = bool(os.environ.get("LOWBIT_TLS_CERT"))
    url = f"{'https' if with_tls else 'http'}://127.0.0.1:{os.environ.get('LOWBIT_PORT', '8000')}/healthz"
    try:
        context = _without_names() if with_tls else None
        with urlopen(url, timeout=TIMEOUT_SECONDS, context=context):  # noqa: S310 - the scheme is ours
            return 0
    except (URLError, OSError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


def _without_names() -> ssl.SSLContext:
    """The certificate names the outside address; over loopback there is nobody else to mistake for the service."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    sys.exit(main())
