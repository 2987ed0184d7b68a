"""Which files hold a checkpoint's weights, and that each tensor lies in exactly one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.strict_json import NamedTwice, NotStrictJson, read_json
from workers.ingestion.checkpoint.safetensors_header import StoredTensor, read_tensors

WHOLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})

_MAX_INDEX_BYTES = 64 << 20
_INTEGERS = frozenset({"BOOL", "U8", "I8", "I16", "I32", "I64"})
"""Buffers: numbers of positions, masks."""
_SHARD = re.compile(r"[A-Za-z0-9._-]{1,120}\.safetensors")
_TENSOR_NAME = re.compile(r"[A-Za-z0-9._-]{1,300}")  # the library matches names with patterns of its own
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt", "*.h5", "*.msgpack")
_HOW_TO_CONVERT = (
    "Load it where you trust it and save it again: "
    "AutoModel...from_pretrained(folder).save_pretrained(folder, safe_serialization=True)."
)


@dataclass(frozen=True)
class StoredWeights:
    files: Mapping[Path, tuple[StoredTensor, ...]]

    @property
    def elements(self) -> int:
        """Of all float tensors."""
        return sum(t.elements for tensors in self.files.values() for t in tensors if t.dtype in FLOATS)


def refuse_code(folder: Path) -> None:
    """Raises ProblemFound for a checkpoint that brings Python along."""
    code = next(iter(sorted(path.name for path in folder.rglob("*.py"))), None)
    if code is not None:
        raise refuse("remote_code_not_allowed", f"The checkpoint holds {quoted(code)}.", entry=code)


def stored_weights(folder: Path) -> StoredWeights:
    """The headers of all files with weights, each sound by itself and all of them together. Raises ProblemFound."""
    shards = [WHOLE_FILE] if (folder / WHOLE_FILE).is_file() else None
    weight_map = None
    if shards is None and (folder / INDEX_FILE).is_file():
        weight_map = _weight_map(folder)
        shards = sorted(set(weight_map.values()))
    if shards is None:
        raise _no_weights(folder)
    found = StoredWeights({folder / shard: read_tensors(folder / shard) for shard in shards})
    if weight_map is not None:
        _check_index(found, weight_map)
    for tensors in found.files.values():
        for tensor in tensors:
            _check_tensor(tensor)
    return found


def _weight_map(folder: Path) -> dict[str, str]:
    """Which tensor lies in which file, as the index says."""
    try:
        index = read_json(folder / INDEX_FILE, max_bytes=_MAX_INDEX_BYTES)
    except NamedTwice as twice:
        raise _bad_index(f"names {quoted(twice.name)} twice") from twice
    except NotStrictJson as error:
        raise _bad_index(f"cannot be read: {error}") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise _bad_index("has no `weight_map`")
    for tensor, shard in weight_map.items():
        _check_shard(folder, tensor, shard)
    return weight_map


def _check_shard(folder: Path, tensor: str, shard: object) -> None:
    if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
        raise _bad_index(f"puts {quoted(tensor)} into {quoted(str(shard))}, which is no name of a file beside it")
    if not (folder / shard).is_file():
        raise _bad_index(f"puts {quoted(tensor)} into {quoted(shard)}, which is missing")


def _check_index(found: StoredWeights, weight_map: Mapping[str, str]) -> None:
    stored: dict[str, str] = {}
    for path, tensors in found.files.items():
        for tensor in tensors:
            if tensor.name in stored:
                raise _bad_index(f"names files that both hold {quoted(tensor.name)}")
            stored[tensor.name] = path.name
    for name in sorted(stored.keys() | weight_map.keys()):
        if stored.get(name) != weight_map.get(name):
            where = f"in {quoted(stored[name])}" if name in stored else "in none of its files"
            raise _bad_index(f"does not agree with its files: {quoted(name)} lies {where}")


def _check_tensor(tensor: StoredTensor) -> None:
    if not _TENSOR_NAME.fullmatch(tensor.name):
        detail = f"{quoted(tensor.name)} is no name of a layer's weights."
        raise refuse("checkpoint_invalid", detail, entry=tensor.name)
    if tensor.dtype not in FLOATS and tensor.dtype not in _INTEGERS:
        raise refuse(
            "checkpoint_invalid",
            f"{quoted(tensor.name)} is stored as {tensor.dtype}; float64, float32, float16 and bfloat16 are accepted.",
            entry=tensor.name,
            hint="Upload the checkpoint that it was made from, with weights in float.",
        )


def _no_weights(folder: Path) -> ProblemFound:
    pickled = next((path.name for kind in _PICKLES for path in sorted(folder.glob(kind))), None)
    if pickled is not None:
        detail = f"The weights are in {quoted(pickled)}, which is not opened: such files can run code."
        return refuse("checkpoint_invalid", detail, entry=pickled, hint=_HOW_TO_CONVERT)
    if (folder / "adapter_config.json").is_file():
        detail = "The folder holds an adapter, and not the model that it adapts."
        return refuse("checkpoint_invalid", detail, hint="Merge it first: model.merge_and_unload().")
    return refuse("checkpoint_invalid", f"The folder has neither {WHOLE_FILE} nor {INDEX_FILE}.")


def _bad_index(what: str) -> ProblemFound:
    return refuse("checkpoint_index_invalid", f"{INDEX_FILE} {what}.", entry=INDEX_FILE)
