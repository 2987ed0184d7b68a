"""Example inputs, which torch keeps as a pickle. They are never loaded; what they would have run is told, though."""

import io
import pickletools
import zipfile

from app.contracts.problem import quoted, refuse
from workers.ingestion.archives.archive import Archive
from workers.ingestion.archives.entry import Entry

_MAX_BYTES = 64 << 20
_MAX_PICKLE_BYTES = 1 << 20
_OF_TENSORS = frozenset({"_rebuild_tensor_v2", "_rebuild_parameter", "OrderedDict", "Size", "device", "dtype"})
_MODULES = frozenset({"torch._utils", "torch", "collections"})


def refuse_hostile_pickle(archive: Archive, entry: Entry) -> None:
    """Raises ProblemFound for a pickle that names more than tensors are made of.

    A person is told why a file looks wrong; the boundary is that nothing of it is ever loaded.
    """
    content = archive.read_nested(entry, max_bytes=_MAX_BYTES)
    for pickle in _pickles(content):
        for module, name in _globals(pickle):
            if module not in _MODULES or not (name in _OF_TENSORS or name.endswith(("Storage", "float32", "int64"))):
                called = quoted(f"{module}.{name}")
                raise refuse("pt2_code_not_allowed", f"The example inputs would call {called}.", entry=entry.name)


def _pickles(content: bytes) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            names = [i for i in inner.infolist() if i.filename.endswith(".pkl") and i.file_size <= _MAX_PICKLE_BYTES]
            return [inner.open(i).read(_MAX_PICKLE_BYTES) for i in names]
    except Exception:  # noqa: BLE001  a file of another form: perhaps a bare pickle, which older versions wrote
        return [content[:_MAX_PICKLE_BYTES]] if content.startswith(b"\x80") else []


def _globals(pickle: bytes) -> list[tuple[str, str]]:
    """The names that a pickle looks up. Of one that cannot be read to its end, those until then."""
    found: list[tuple[str, str]] = []
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name in {"GLOBAL", "INST"}:
                module, _, name = str(argument).partition(" ")
                found.append((module, name))
            elif opcode.name == "STACK_GLOBAL":
                found.append((texts[-2] if len(texts) > 1 else "?", texts[-1] if texts else "?"))
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # noqa: BLE001  pickletools raises what it likes
        return found
    return found
