"""The form that a webhook's URL must have. What its name resolves to is judged again before every request."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from app.contracts.problem import ProblemFound, refuse

MAX_URL_CHARACTERS = 2048
PORTS = frozenset({443, 8443})
"""Where HTTPS is served. Others would let a user knock on databases and mail servers from inside our network."""

_PRINTABLE = re.compile(r"[!-\[\]-~]+")
"""ASCII without spaces, control characters and the backslash, on whose meaning parsers differ."""

_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
"""A DNS name of two or more labels. The last one starts with a letter, so that it cannot be a number: `0x7f.1`,
`0177.1` and `2130706433` are addresses to some resolvers, and brackets hold IPv6 addresses."""


class Destination(NamedTuple):
    """Where a request goes: the name to resolve, the port, and the path with its query."""

    host: str
    port: int
    target: str


def parse(url: str) -> Destination:
    """Read a URL of the allowed form. Raises ProblemFound with `url_not_allowed`."""
    split = _split(url)
    if split.scheme != "https":
        raise url_refused("It must start with https://.")
    if "@" in split.netloc:
        raise url_refused("It may not hold a user name or a password.")
    if split.fragment or "#" in url:
        raise url_refused("It may not have a fragment.")
    host = (split.hostname or "").lower()
    if not _NAME.fullmatch(host):
        raise url_refused("Its host must be a full DNS name, not an address or a local name.")
    port = _port(split)
    if port not in PORTS:
        raise url_refused("Its port must be 443 or 8443.")
    return _destination(split, host, port)


def parse_anywhere(url: str) -> Destination:
    """Read a URL of any host and port: for tests and for installations that trust all their users."""
    split = _split(url)
    if split.scheme != "https" or not split.hostname or "@" in split.netloc or "#" in url:
        raise url_refused("It must be an https:// URL without user name and fragment.")
    return _destination(split, split.hostname, _port(split))


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL_CHARACTERS or not _PRINTABLE.fullmatch(url):
        raise url_refused(f"It must be printable ASCII without spaces, of at most {MAX_URL_CHARACTERS} characters.")
    try:
        return urlsplit(url)
    except ValueError as error:
        raise url_refused("It is not a URL.") from error


def _port(split: SplitResult) -> int:
    try:
        return 443 if split.port is None else split.port
    except ValueError as error:
        raise url_refused("Its port is not a number from 0 to 65535.") from error


def _destination(split: SplitResult, host: str, port: int) -> Destination:
    return Destination(host, port, (split.path or "/") + (f"?{split.query}" if split.query else ""))


def url_refused(why: str) -> ProblemFound:
    return refuse("url_not_allowed", f"The URL is not allowed. {why}", pointer="/url")
