import pytest

from app.contracts.problem import ProblemFound
from app.webhooks.destination import Destination, parse, parse_anywhere


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/x",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "",
        "https://",
        "https:///path",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:127.0.0.1]:443/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
        "https://localhost/",
        "https://postgres/",
        "https://example.com./",
        "https://exa mple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com\t/",
        "https://example.com\r\nHost: other/",
        "https://example.com/\x00",
        "https://ex\u00e4mple.com/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://example\u3002com/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://@example.com/",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:-443/",
        "https://example.com:４４３/",
        "https://example.com/#fragment",
        "https://example.com/#",
        "https://-example.com/",
        "https://example..com/",
        "https://" + "a" * 64 + ".com/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ProblemFound) as refusal:
        parse(url)
    assert refusal.value.problem.code == "url_not_allowed"
    assert refusal.value.problem.status == 422


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", Destination("example.com", 443, "/")),
        ("https://Hooks.Example.com/a/b?c=d", Destination("hooks.example.com", 443, "/a/b?c=d")),
        ("HTTPS://example.com:8443/x", Destination("example.com", 8443, "/x")),
        ("https://example.com:443?q", Destination("example.com", 443, "/?q")),
        ("https://xn--bcher-kva.example/ok", Destination("xn--bcher-kva.example", 443, "/ok")),
        ("https://a.b.c.example.co/~u/@me", Destination("a.b.c.example.co", 443, "/~u/@me")),
    ],
)
def test_a_url_with_a_public_name_is_read(url: str, expected: Destination) -> None:
    assert parse(url) == expected


def test_without_limits_any_host_and_port_is_read_but_still_only_over_tls() -> None:
    assert parse_anywhere("https://localhost:12345/x") == Destination("localhost", 12345, "/x")
    assert parse_anywhere("https://[::1]:1/") == Destination("::1", 1, "/")
    with pytest.raises(ProblemFound):
        parse_anywhere("http://localhost/")
