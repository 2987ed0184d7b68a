"""Which IP addresses a webhook may be sent to: those of the public internet, and no form of any other.

The rules are spelled out because `ipaddress` alone does not hold: on Python 3.11 it calls multicast (239.1.1.1),
site-local (fec0::1) and IPv4-compatible (::127.0.0.1) addresses global, and looks into neither 6to4 nor NAT64.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SPECIAL_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
)
_SPECIAL_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments: Teredo, ORCHID, benchmarking
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(address: IPAddress) -> bool:
    """True if packets to the address leave for the public internet."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _lies_in(address, _SPECIAL_V4)
    embedded = _embedded_v4(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL_UNICAST and address.is_global and not _lies_in(address, _SPECIAL_V6)


def _embedded_v4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a gateway would take from this one and send the packets to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def _lies_in(address: IPAddress, networks: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]) -> bool:
    return any(address in network for network in networks)
