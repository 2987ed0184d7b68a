"""Sends one request to a place that a user chose, without becoming that user's hand inside our network.

The name is resolved once, every address it has must be public, and the connection goes to one of these very addresses:
a name that resolves differently a moment later (DNS rebinding) gains nothing. The certificate is checked against the
name. Redirects are not followed, proxies and credentials of the environment are not used, and the answer is not shown
to anybody: only its status is kept.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from app.contracts.problem import ProblemFound
from app.settings import Settings
from app.webhooks.destination import Destination, parse, parse_anywhere, url_refused
from app.webhooks.public_address import IPAddress, is_public

if TYPE_CHECKING:  # imported on first use: most installations send no webhooks
    import httpx2

TOTAL_SECONDS = 10.0
MAX_DRAINED_BYTES = 1024**2
"""Of the answer; the connection is closed on what is longer. Nothing of it is kept."""
MAX_ADDRESSES_TRIED = 3

USER_AGENT = "lowbit-webhooks/1"

NOT_PUBLIC = "Its host does not resolve, or not to public addresses only."
"""One answer for both: a user must not learn which names our own network knows."""


class Undeliverable(Exception):
    """The request could not be sent, or no answer came. The message is made for the webhook's owner."""


class Egress(NamedTuple):
    """The way out of this process."""

    tls: ssl.SSLContext
    allow_private: bool
    """Anything goes: names of this machine, addresses of this network, any port."""

    @classmethod
    def of(cls, settings: Settings) -> "Egress":
        tls = ssl.create_default_context()
        if settings.webhook_ca_file is not None:
            tls.load_verify_locations(settings.webhook_ca_file)
        return cls(tls, settings.webhook_allow_private)

    async def check(self, url: str) -> None:
        """Raise ProblemFound with `url_not_allowed` if a request to this URL would not be sent now."""
        destination = self._parse(url)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await self._resolve(destination)
        except (Undeliverable, TimeoutError) as error:
            raise url_refused(NOT_PUBLIC) from error

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer, whatever it is. Raises Undeliverable."""
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                destination = self._parse(url)
                addresses = await self._resolve(destination)
                return await self._post_to_first(addresses, destination, body, headers)
        except TimeoutError as error:
            raise Undeliverable(f"No answer within {TOTAL_SECONDS:.0f} s.") from error
        except ProblemFound as refusal:
            raise Undeliverable(refusal.problem.detail) from refusal

    def _parse(self, url: str) -> Destination:
        return parse_anywhere(url) if self.allow_private else parse(url)

    async def _resolve(self, destination: Destination) -> list[IPAddress]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Undeliverable(NOT_PUBLIC) from error
        addresses = [ip_address(sockaddr[0]) for *_, sockaddr in found]
        if not self.allow_private and not all(is_public(address) for address in addresses):
            raise Undeliverable(NOT_PUBLIC)
        return addresses[:MAX_ADDRESSES_TRIED]

    async def _post_to_first(
        self, addresses: Sequence[IPAddress], destination: Destination, body: bytes, headers: dict[str, str]
    ) -> int:
        """The first address that takes the connection gets the request."""
        import httpx2  # noqa: PLC0415  see TYPE_CHECKING above

        async with httpx2.AsyncClient(verify=self.tls, trust_env=False, timeout=TOTAL_SECONDS) as client:
            for address in addresses:
                try:
                    return await _post(client, address, destination, body, headers)
                except httpx2.ConnectError as error:
                    why = "The certificate is not valid for the host." if _is_certificate(error) else "No connection."
                except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                    raise Undeliverable("The connection broke before an answer came.") from error
            raise Undeliverable(why)


async def _post(
    client: "httpx2.AsyncClient", address: IPAddress, destination: Destination, body: bytes, headers: dict[str, str]
) -> int:
    request = client.build_request(
        "POST",
        f"https://{_in_url(str(address))}:{destination.port}{destination.target}",
        content=body,
        headers={
            **headers,
            "host": _host_header(destination),
            "user-agent": USER_AGENT,
            "content-type": "application/json",
            "accept-encoding": "identity",
        },
        extensions={"sni_hostname": destination.host},
    )
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        await _drain(response)
    finally:
        await response.aclose()
    return response.status_code


async def _drain(response: "httpx2.Response") -> None:
    """Let the other side finish its sentence, up to a length; a cut connection would look like an error of ours."""
    import httpx2  # noqa: PLC0415  see TYPE_CHECKING above

    drained = 0
    try:
        async for chunk in response.aiter_raw():
            drained += len(chunk)
            if drained > MAX_DRAINED_BYTES:
                return
    except httpx2.HTTPError:
        return  # the status has arrived, and nothing else counts


def _is_certificate(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _host_header(destination: Destination) -> str:
    host = _in_url(destination.host)
    return host if destination.port == 443 else f"{host}:{destination.port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
