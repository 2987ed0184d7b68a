import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from workers.ingestion.data.jsonl import open_jsonl
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.row_digests import batch_digests, row_digests


def test_a_row_is_hashed_as_it_is_written_down() -> None:
    x, n = np.array([[1.5, 2.0]], np.float32), np.array([7])
    by_hand = hashlib.blake2b(digest_size=16)
    by_hand.update(b"x\0(2,)\0" + (8).to_bytes(8, "little") + np.array([1.5, 2.0], "<f4").tobytes())
    by_hand.update(b"n\0()\0" + (8).to_bytes(8, "little") + (7).to_bytes(8, "little"))
    assert batch_digests({"x": x, "n": n}, ("x", "n")) == [by_hand.digest()]


def test_the_format_does_not_change_the_digest(tmp_path: Path, npz: Any) -> None:
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    ids = np.arange(14).reshape(7, 2).astype(np.int32)
    lines = (json.dumps({"ids": i.tolist(), "x": row.tolist()}) for i, row in zip(ids, x, strict=True))
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    stored, written = open_archive(npz(x=x, ids=ids)), open_jsonl(tmp_path / "d.jsonl")
    found = [list(row_digests(t, ("x", "ids"), rows=rows, limit=5)) for t, rows in ((stored, 2), (written, 3))]
    assert found[0] == found[1]
    assert len(set(found[0])) == 5


def test_equal_rows_have_equal_digests_and_others_have_not() -> None:
    batch = {"a": np.array([1, 1, 2]), "b": np.array(["x", "x", "x"], np.dtypes.StringDType())}
    first, second, third = batch_digests(batch, ("a", "b"))
    assert first == second != third
    # a text that ends where the next begins is not the same as one that is cut elsewhere
    pairs = np.array([["ab", "c"], ["a", "bc"]], np.dtypes.StringDType())
    one, other = batch_digests({"t": pairs[:, 0], "u": pairs[:, 1]}, ("t", "u"))
    assert one != other


def test_unnamed_columns_count_by_their_place() -> None:
    x, y = np.array([1, 2]), np.array([3, 4])
    named = batch_digests({"x": x, "y": y}, ("x", "y"))
    assert batch_digests({"a": x, "b": y}, ("a", "b")) != named
    assert batch_digests({"a": x, "b": y}, ("a", "b"), named=False) == batch_digests(
        {"x": x, "y": y}, ("x", "y"), named=False
    )
