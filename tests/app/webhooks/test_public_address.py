"""Expected values come from the address plans: RFC 6890 and its registry, and the range that a gateway takes out."""

from ipaddress import ip_address

import pytest

from app.webhooks.public_address import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        # what a translator makes of these: 127.0.0.1, 10.0.0.1, 169.254.169.254
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "64:ff9b::a9fe:a9fe",
        "2001:0:7f00:1::1",
    ],
)
def test_no_form_of_an_address_that_is_not_public_passes(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:800::200e", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_addresses_of_the_public_internet_pass(address: str) -> None:
    assert is_public(ip_address(address))
