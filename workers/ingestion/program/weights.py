"""The tables of a program's weights and constants: which raw file each tensor is a view of.

torch makes the view with `as_strided` on the file's storage, unchecked: a view beyond its end reads what lies there.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.contracts.problem import quoted, refuse

_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""By torch's serialized number of the element type (torch/_export/serde/schema.py, ScalarType)."""
_STRIDED = 7
_FIELDS = frozenset({"path_name", "is_param", "use_pickle", "tensor_meta"})
_NAME = re.compile(r"[A-Za-z0-9_.]{1,512}")
_MAX_RANK = 16


def checked_table(table: object, *, folder: str, prefix: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The same table, when every tensor of it lies in a raw file. `sizes`: bytes by entry. Raises ProblemFound."""
    rows = table.get("config") if isinstance(table, dict) and set(table) == {"config"} else None
    if not isinstance(rows, dict):
        raise refuse("pt2_invalid", "A table of tensors has not the form that torch writes.")
    for name, row in rows.items():
        _check_row(name, row, folder, prefix, sizes)
    return {"config": rows}


def _check_row(name: str, row: object, folder: str, prefix: str, sizes: Mapping[str, int]) -> None:
    if not _NAME.fullmatch(name) or not isinstance(row, dict) or set(row) - _FIELDS:
        raise refuse("pt2_invalid", f"The tensor {quoted(name)} is not described as torch does.", entry=name)
    path = row.get("path_name")
    if row.get("use_pickle") is not False or not isinstance(path, str):
        raise refuse("pt2_code_not_allowed", f"The tensor {quoted(name)} is kept as a Python pickle.", entry=name)
    if re.fullmatch(r"(custom|opaque)_obj_.*", path):
        raise refuse("pt2_code_not_allowed", f"{quoted(name)} is an object of Python, not a tensor.", entry=name)
    if not re.fullmatch(prefix + r"_\d{1,7}", path) or folder + path not in sizes:
        raise refuse("pt2_invalid", f"The tensor {quoted(name)} names {quoted(path)}, which is not there.", entry=name)
    if not _fits(row.get("tensor_meta"), sizes[folder + path]):
        raise refuse("pt2_invalid", f"The tensor {quoted(name)} does not lie within its file.", entry=name)


def _fits(meta: object, size: int) -> bool:
    if not isinstance(meta, dict) or meta.get("layout") != _STRIDED:
        return False
    dtype = meta.get("dtype")
    if type(dtype) is not int or dtype not in _ITEM_BYTES:
        return False
    sizes, strides = _integers(meta.get("sizes")), _integers(meta.get("strides"))
    offset = _integers([meta.get("storage_offset")])
    if sizes is None or strides is None or offset is None or len(sizes) != len(strides) or len(sizes) > _MAX_RANK:
        return False
    if min([*sizes, *strides, *offset]) < 0 or meta.get("device") != {"type": "cpu", "index": None}:
        return False
    last = offset[0] + sum((extent - 1) * stride for extent, stride in zip(sizes, strides, strict=True))
    item = _ITEM_BYTES[dtype]
    return size % item == 0 and (0 in sizes or (last + 1) * item <= size)


def _integers(values: object) -> list[int] | None:
    """Of `{"as_int": 3}`: the extents of weights are never symbolic."""
    if not isinstance(values, list):
        return None
    found = [v.get("as_int") if isinstance(v, dict) and set(v) == {"as_int"} else None for v in values]
    return [v for v in found if isinstance(v, int)] if all(type(v) is int for v in found) else None
