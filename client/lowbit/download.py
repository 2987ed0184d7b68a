"""Downloads that survive a cut: bytes gather under a temporary name, are checked, and only then get theirs."""

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import httpx2

from lowbit.errors import DigestMismatch, NoConnection
from lowbit.files import sha256_of
from lowbit.resources import Artifact
from lowbit.wire import Call, Wire

CHUNK_BYTES = 1 << 20

ATTEMPTS = 4
"""Each goes on where the last one stopped."""

DownloadProgress = Callable[[Path, int, int], None]
"""Called with the path, the bytes there so far, and the bytes in all."""


def download_artifacts(
    wire: Wire, artifacts: Iterable[Artifact], directory: str | Path, on_progress: DownloadProgress | None = None
) -> list[Path]:
    """Write each artifact into `directory`, which is created. A file that is there already, unchanged, is kept."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return [_download(wire, artifact, directory, on_progress or (lambda *_: None)) for artifact in artifacts]


def plain_name(filename: str) -> str:
    """The last part of a name: what a service sends never leaves the folder that the user chose."""
    name = PurePosixPath(PureWindowsPath(filename).name).name
    if name in {"", ".", ".."} or not name.isprintable():
        raise DigestMismatch(f"the service names a file {filename!r}, which cannot be written")
    return name


def _download(wire: Wire, artifact: Artifact, directory: Path, on_progress: DownloadProgress) -> Path:
    target = directory / plain_name(artifact["filename"])
    if target.is_file() and sha256_of(target).hex() == artifact["sha256"]:
        return target
    # the digest is part of the name, so a partial file is only ever continued with the same content
    partial = directory / f".{target.name}.{artifact['sha256'][:16]}.part"
    _gather(wire, artifact, partial, lambda here: on_progress(target, here, artifact["bytes"]))
    found = sha256_of(partial).hex()
    if found != artifact["sha256"]:
        partial.unlink()
        raise DigestMismatch(f"{target.name}: sha256 is {found}, announced was {artifact['sha256']}; download it again")
    partial.replace(target)
    return target


def _gather(wire: Wire, artifact: Artifact, partial: Path, tell: Callable[[int], None]) -> None:
    for attempt in range(ATTEMPTS):
        try:
            _continue(wire, artifact, partial, tell)
        except NoConnection:
            if attempt == ATTEMPTS - 1:
                raise
        if partial.exists() and partial.stat().st_size >= artifact["bytes"]:
            return


def _continue(wire: Wire, artifact: Artifact, partial: Path, tell: Callable[[int], None]) -> None:
    """Fetch what is missing, or everything when the service does not answer with just that."""
    here = partial.stat().st_size if partial.exists() else 0
    if 0 < here >= artifact["bytes"]:
        return
    headers = {"Accept-Encoding": "identity"}
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": f'"sha256-{artifact["sha256"]}"'}
    with wire.open(Call("GET", artifact["links"]["content"], headers=headers)) as response:
        _append(response, partial, here if response.status_code == 206 else 0, tell)


def _append(response: httpx2.Response, partial: Path, start: int, tell: Callable[[int], None]) -> None:
    with partial.open("ab" if start else "wb") as file:
        here = start
        for chunk in response.iter_bytes(CHUNK_BYTES):
            file.write(chunk)
            here += len(chunk)
            tell(here)
