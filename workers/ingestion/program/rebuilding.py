"""Takes an uploaded program apart and writes a new one: checked graph, checked tables, raw numbers, nothing else."""

import json
import zipfile
from pathlib import Path
from typing import Any

from app.contracts.problem import quoted, refuse
from app.contracts.strict_json import NotStrictJson, parse_json
from workers.ingestion.archives.archive import Archive, open_archive
from workers.ingestion.archives.entry import Entry
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.program.entries import ARCHIVE_VERSION, BYTE_ORDER_FILE, VERSION_FILE, ProgramLayout, layout_of
from workers.ingestion.program.graph import checked_graph
from workers.ingestion.program.pickles import refuse_hostile_pickle
from workers.ingestion.program.weights import checked_table

_MAX_GRAPH_BYTES = 256 << 20
_MAX_TABLE_BYTES = 64 << 20
_MAX_SMALL_BYTES = 64


def rebuild(path: Path, clean: Path, *, max_unpacked_bytes: int) -> None:
    """Write `clean`, a program that torch may load. Raises ProblemFound."""
    with open_archive(path, ArchiveLimits(max_unpacked_bytes=max_unpacked_bytes)) as archive:
        entries = {entry.name: entry for entry in archive.entries}
        layout = layout_of(list(entries))
        _check_version(archive, entries, layout)
        for name, entry in entries.items():
            if name.startswith(layout.path("data/sample_inputs/")):
                refuse_hostile_pickle(archive, entry)
        texts = _checked_texts(archive, entries, layout)
        with zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED, allowZip64=True) as written:
            for name, text in texts.items():
                written.writestr(layout.path(name), text)
            for name in (*layout.weights, *layout.constants):
                with written.open(layout.path(name), "w", force_zip64=True) as copy:
                    for piece in archive.pieces(entries[layout.path(name)]):
                        copy.write(piece)


def _check_version(archive: Archive, entries: dict[str, Entry], layout: ProgramLayout) -> None:
    version = _small(archive, entries, layout, VERSION_FILE)
    if version != ARCHIVE_VERSION:
        detail = f"The archive has version {quoted(repr(version))}; version 0 is supported."
        raise refuse("pt2_version_unsupported", detail, entry=VERSION_FILE)
    if _small(archive, entries, layout, BYTE_ORDER_FILE) not in {b"little", b""}:
        raise refuse("pt2_version_unsupported", "The numbers are big-endian.", entry=BYTE_ORDER_FILE)


def _checked_texts(archive: Archive, entries: dict[str, Entry], layout: ProgramLayout) -> dict[str, str]:
    sizes = {name: entries[layout.path(name)].bytes for name in (*layout.weights, *layout.constants)}
    graph = checked_graph(archive.read(entries[layout.path(layout.graph)], max_bytes=_MAX_GRAPH_BYTES))
    weights = _table(archive, entries[layout.path(layout.weights_config)])
    constants = _table(archive, entries[layout.path(layout.constants_config)])
    return {
        "archive_format": "pt2",
        "archive_version": ARCHIVE_VERSION.decode(),
        "byteorder": "little",
        ".data/version": "3\n",
        layout.graph: json.dumps(graph),
        layout.weights_config: json.dumps(checked_table(weights, folder="data/weights/", prefix="weight", sizes=sizes)),
        layout.constants_config: json.dumps(
            checked_table(constants, folder="data/constants/", prefix="tensor", sizes=sizes)
        ),
        f"data/sample_inputs/{layout.model}.pt": "",  # of no bytes: torch then has none
    }


def _table(archive: Archive, entry: Entry) -> Any:  # noqa: ANN401  any JSON value
    try:
        return parse_json(archive.read(entry, max_bytes=_MAX_TABLE_BYTES))
    except NotStrictJson as error:
        raise refuse("pt2_invalid", f"A table cannot be read: {quoted(str(error))}.", entry=entry.name) from error


def _small(archive: Archive, entries: dict[str, Entry], layout: ProgramLayout, name: str) -> bytes:
    entry = entries.get(layout.path(name))
    return b"" if entry is None else archive.read(entry, max_bytes=_MAX_SMALL_BYTES).strip()
