from hypothesis import given
from hypothesis import strategies as st

from app.auth.keys import ALPHABET, generate, parse


def test_a_key_is_read_back_from_its_text() -> None:
    key = generate()
    assert parse(key.text()) == key
    assert len(key.text()) == len("lb_") + 12 + 1 + 43 + 6


def test_two_keys_differ() -> None:
    assert len({generate().text() for _ in range(100)}) == 100


@given(position=st.integers(0, 64), character=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    text = generate().text()
    spoiled = text[:position] + character + text[position + 1 :]
    assert (parse(spoiled) is None) == (spoiled != text)


@given(st.text(max_size=100))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parse(text)
    parse("lb_" + text)


def test_the_stored_digest_is_not_the_secret() -> None:
    key = generate()
    assert key.secret.encode() not in key.secret_sha256()
    assert len(key.secret_sha256()) == 32
