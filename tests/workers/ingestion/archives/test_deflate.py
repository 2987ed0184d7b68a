"""Where a stream of packed bytes ends: neither before its last byte nor behind it, wherever the pieces meet."""

import struct
import zlib
from pathlib import Path

import pytest

from app.contracts.problem import ProblemFound
from workers.ingestion.archives.deflate import inflated
from workers.ingestion.archives.packed_file import PIECE_BYTES, PackedFile

INPUT_BYTES = 64 << 10
"""That are read at once."""


def unpacked(data: bytes, folder: Path) -> bytes:
    (folder / "packed").write_bytes(data)
    with (folder / "packed").open("rb") as file:
        return b"".join(inflated(PackedFile(file), 0, len(data), entry="a"))


@pytest.mark.parametrize("more", [1, 2, 257, 258, 259])
def test_a_match_that_a_piece_cuts_in_two_comes_out_whole(tmp_path: Path, more: int) -> None:
    """All input is taken in by then, and up to 258 bytes are still on their way out."""
    content = bytes(PIECE_BYTES + more)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    assert unpacked(packer.compress(content) + packer.flush(), tmp_path) == content


@pytest.mark.parametrize("behind", [b"", b"x", bytes(INPUT_BYTES)])
def test_what_follows_a_stream_that_ends_with_a_piece_of_input_is_seen(tmp_path: Path, behind: bytes) -> None:
    """Two blocks that are stored as they are: 5 bytes before each."""
    halves = (INPUT_BYTES - 10) // 2
    block = struct.pack("<HH", halves, 0xFFFF - halves) + b"a" * halves
    stream = b"\x00" + block + b"\x01" + block
    assert len(stream) == INPUT_BYTES
    if behind:
        with pytest.raises(ProblemFound) as found:
            unpacked(stream + behind, tmp_path)
        assert found.value.problem.code == "archive_corrupt"
    else:
        assert unpacked(stream, tmp_path) == b"a" * (2 * halves)
