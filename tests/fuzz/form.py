"""Any bytes as an upload form, in one piece and byte by byte: the same file, or the same problem; nothing is left.

An input is what follows the first boundary. Before it, where the standard allows words, the library's answer depends on
how they arrive.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from app.contracts.problem import ProblemFound
from app.files.form import FormUpload
from app.files.reception import Reception

Found = tuple[str | None, str | None, bytes] | str

_TYPE = "multipart/form-data; boundary=b"


def one_input(data: bytes) -> None:
    data = b"--b\r\n" + data
    whole = _read([data])
    assert _read(data[i : i + 1] for i in range(len(data))) == whole
    if not isinstance(whole, str):
        assert whole[2] in data


def _read(pieces: Iterable[bytes]) -> Found:
    """The file's name, its purpose and content, or the code of the problem."""

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        folder = Path(scratch)
        try:
            with Reception(folder, max_bytes=1000) as received:
                form = FormUpload(_TYPE, received)
                asyncio.run(form.read(stream()))
                received.finish()
                found: Found = form.filename, form.purpose, received.path.read_bytes()
        except ProblemFound as refused:
            assert refused.problem.status in {400, 413, 415, 422}  # noqa: PT017 - a known problem is fine
            found = refused.problem.code
        assert list(folder.iterdir()) == []
    return found


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("form", instrument=["app.files"])
