"""The form reader, fed byte by byte and in pieces of every size: the result must not depend on how the bytes arrive."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contracts.problem import ProblemFound
from app.files.form import MAX_OVERHEAD_BYTES, FormUpload
from app.files.reception import Reception

CONTENT = b"\x08\x09--x\r\n\r\n--boundar\r\n" * 3  # all but the boundary itself
FORM = (
    b'--boundary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nmodel\r\n'
    b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a b.onnx"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + CONTENT + b"\r\n--boundary--\r\n"
)
TYPE = "multipart/form-data; boundary=boundary"


def _read(folder: Path, pieces: Iterable[bytes], *, max_bytes: int = 10_000) -> tuple[FormUpload, bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    with Reception(folder, max_bytes=max_bytes) as received:
        form = FormUpload(TYPE, received)
        asyncio.run(form.read(stream()))
        received.finish()
        return form, received.path.read_bytes()


@given(cuts=st.lists(st.integers(0, len(FORM)), max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_pieces_do_not_matter(tmp_path: Path, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(FORM)]
    form, content = _read(tmp_path, [FORM[a:b] for a, b in pairwise(edges)])
    assert content == CONTENT
    assert (form.filename, form.purpose) == ("a b.onnx", "model")
    assert list(tmp_path.iterdir()) == []


@given(data=st.binary(max_size=300), keep=st.integers(0, len(FORM)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_garbage_is_a_problem_and_leaves_no_file(tmp_path: Path, data: bytes, keep: int) -> None:
    try:
        _read(tmp_path, [FORM[:keep] + data])
    except ProblemFound as found:
        assert found.problem.status in {400, 422}  # noqa: PT017  garbage may also happen to be a form
    assert list(tmp_path.iterdir()) == []


def test_the_limit_acts_while_the_form_is_being_read(tmp_path: Path) -> None:
    with pytest.raises(ProblemFound) as found:
        _read(tmp_path, [FORM], max_bytes=10)
    assert found.value.problem.code == "upload_too_large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("filler", [b"\r\n", b"--boundary\r\nX-Header: x\r\n" + b"X-Header: x\r\n" * 40])
def test_what_stands_beside_the_file_has_a_limit_too(tmp_path: Path, filler: bytes) -> None:
    """Without one, empty lines or headers could be sent for ever."""

    class Sent(Exception):
        """More than may be taken was taken."""

    def endless() -> Iterator[bytes]:
        opening, rest = filler[:12], filler[12:] or filler
        yield opening
        for _ in range(MAX_OVERHEAD_BYTES // len(rest) + 2):
            yield rest
        raise Sent

    with pytest.raises(ProblemFound) as found:
        _read(tmp_path, endless())
    assert (found.value.problem.code, bool(found.value.problem.hint)) == ("bad_request", True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "text/plain",
        "multipart/form-data; boundary=",
        ";;;",
        *(f"multipart/form-data; boundary={'b' * length}" for length in (300, 3000)),
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(tmp_path: Path, kind: str) -> None:
    with Reception(tmp_path, max_bytes=10) as received, pytest.raises(ProblemFound):
        FormUpload(kind, received)
