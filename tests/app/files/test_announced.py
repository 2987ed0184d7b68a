import base64
import hashlib

import pytest
from starlette.datastructures import Headers

from app.contracts.problem import ProblemFound
from app.files.announced import announced_sha256

DIGEST = hashlib.sha256(b"some bytes")
SPELT = base64.b64encode(DIGEST.digest()).decode()


@pytest.mark.parametrize("name", ["Repr-Digest", "Content-Digest"])
@pytest.mark.parametrize("value", [f"sha-256=:{SPELT}:", f"md5=:AAAA:, sha-256=:{SPELT}:;q=1"])
def test_a_digest_is_read_from_either_header(name: str, value: str) -> None:
    assert announced_sha256(Headers({name: value})) == DIGEST.hexdigest()


@pytest.mark.parametrize("headers", [{}, {"Repr-Digest": "sha-512=:AAAA:"}, {"Repr-Digest": ""}])
def test_without_one_nothing_is_announced(headers: dict[str, str]) -> None:
    assert announced_sha256(Headers(headers)) is None


@pytest.mark.parametrize(
    "value", [f"sha-256={SPELT}", f"sha-256=:{DIGEST.hexdigest()}:", "sha-256=:AAAA:", f"sha-256=:{'=' * 44}:"]
)
def test_a_digest_in_another_spelling_is_refused_and_not_left_unchecked(value: str) -> None:
    with pytest.raises(ProblemFound) as found:
        announced_sha256(Headers({"Repr-Digest": value}))
    assert found.value.problem.code == "bad_request"
    assert "base64" in (found.value.problem.hint or "")
