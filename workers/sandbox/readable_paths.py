"""What Python and its packages are read from: exactly that, as far as it can be told, and no folder of data."""

import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OUR_PACKAGES = ("app", "workers", "lowbit")
"""Of a source tree that is installed in place only these are shown: beside them may lie secrets, such as `.env`."""

_SITES = {"site-packages", "dist-packages"}
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/nix/store")
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/nsswitch.conf",
)
PROCESSOR = (Path("/sys/devices/system/cpu"), Path("/sys/devices/system/node"), Path("/sys/bus/pci/devices"))
"""How many cores there are, and which: thread pools are made after it."""
MACHINE_FACTS = (Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/proc/stat"), Path("/proc/version"))
GPU_FACTS = (Path("/sys"), Path("/proc/driver/nvidia"), Path("/proc/devices"), Path("/proc/sys/vm/mmap_min_addr"))
"""What CUDA asks about the machine before it starts."""


def readable_paths() -> list[Path]:
    """Existing paths, no one of them below another. Links among them stay links.

    Other places that this process searches for modules do not count: its working folder is one.
    """
    wanted = [Path(path) for path in (*_SYSTEM, *_SETTINGS)]
    wanted += [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix)]
    wanted += [Path(path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    wanted += [Path(entry) for entry in sys.path if Path(entry).name in _SITES]
    wanted += _our_folders()
    return _outermost([path for path in wanted if os.path.lexists(path)])


def source_folders() -> list[Path]:
    """Where our packages lie: what is in these folders is looked through for them."""
    return sorted({folder.parent for folder in _our_folders()})


@cache
def _our_folders() -> list[Path]:
    specs = [find_spec(name) for name in OUR_PACKAGES]
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]


def _outermost(paths: list[Path]) -> list[Path]:
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in kept if not other.is_symlink()):
            kept.append(path)
    return kept
