"""One GPU for each slot of a worker, and the nodes of the kernel's driver that a job needs for it and for no other.

    python -m workers.sandbox.gpu SLOTS     ends with 1, and a line that says why, where there are not enough

What counts is the nodes that are there: a container holds those of the GPUs that it was given. They are counted in the
order of the PCI bus, as `nvidia-smi` does; CUDA_VISIBLE_DEVICES, if the worker has it, picks among them.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.levels import Level

DEV, DRIVER = Path("/dev"), Path("/proc/driver/nvidia")
REQUIRED = ("nvidiactl", "nvidia-uvm")
"""Besides the GPU's own node."""
SHARED = (*REQUIRED, "nvidia-uvm-tools")


class GpuUnavailable(RuntimeError):
    """There is no GPU for each slot. `str()` of it is one line."""


@dataclass(frozen=True)
class Gpu:
    number: int
    """Among the GPUs of this machine, or container, in the order of the PCI bus."""
    uuid: str
    """Empty where the driver does not tell it."""
    nodes: tuple[Path, ...]


def gpus_for(slots: int, *, picked: str | None, dev: Path = DEV, driver: Path = DRIVER) -> list[Gpu]:
    """One for each slot; `picked` is the worker's own CUDA_VISIBLE_DEVICES, None if it has none."""
    there = _gpus(dev, driver)
    usable = there if picked is None else _picked(there, picked)
    if len(usable) >= slots:
        return usable[:slots]
    which = "" if picked is None else f", of which CUDA_VISIBLE_DEVICES names {len(usable)}"
    raise GpuUnavailable(
        f"{slots} at once on GPUs: each job has a GPU to itself, and {len(there)} can be opened here{which}."
    )


def visible_devices(gpu: Gpu | None, level: Level) -> str:
    """The job's CUDA_VISIBLE_DEVICES. In a sandbox its node is the first that CUDA finds; without one all are found."""
    if gpu is None:
        return ""
    return gpu.uuid or (str(gpu.number) if level == Level.NONE else "0")


def _gpus(dev: Path, driver: Path) -> list[Gpu]:
    own = [node for node in dev.glob("nvidia[0-9]*") if node.name.removeprefix("nvidia").isdigit() and _opens(node)]
    if not own:
        raise GpuUnavailable(
            f"no GPU: none of {dev}/nvidia0, nvidia1, ... can be opened. It takes NVIDIA's driver, and in a container "
            "its container toolkit."
        )
    for name in REQUIRED:
        if not _opens(dev / name):
            raise GpuUnavailable(f"no GPU: {dev / name} cannot be opened. As root on the host: nvidia-modprobe -u -c 0")
    shared = tuple(dev / name for name in SHARED if _opens(dev / name))
    by_minor = {int(node.name.removeprefix("nvidia")): node for node in own}
    known = _known(driver)
    minors = sorted(by_minor, key=lambda minor: (known.get(minor, _NOT_TOLD).place, minor))
    return [
        Gpu(number, known.get(minor, _NOT_TOLD).uuid, (by_minor[minor], *shared)) for number, minor in enumerate(minors)
    ]


@dataclass(frozen=True)
class _Told:
    place: int
    """On the PCI bus, counted."""
    uuid: str


_NOT_TOLD = _Told(sys.maxsize, "")


def _known(driver: Path) -> dict[int, _Told]:
    """By the number in the name of their node, what the driver says of the machine's GPUs, a container's or not."""
    known: dict[int, _Told] = {}
    for place, folder in enumerate(sorted((driver / "gpus").glob("*"))):  # named after the address, 0000:3b:00.0
        with suppress(OSError, KeyError, ValueError):
            lines = (line.partition(":") for line in (folder / "information").read_text().splitlines())
            facts = {name.strip(): value.strip() for name, _, value in lines}
            uuid = facts["GPU UUID"]  # question marks while nobody uses it
            known[int(facts["Device Minor"])] = _Told(place, "" if "?" in uuid else uuid)
    return known


def _picked(there: list[Gpu], names: str) -> list[Gpu]:
    """Numbers, or beginnings of UUIDs. For CUDA the list ends at a name of nothing, or of one that it had before."""
    picked: list[Gpu] = []
    for name in (part.strip() for part in names.split(",")):
        found = [gpu for gpu in there if name == str(gpu.number) or (name[:4] == "GPU-" and gpu.uuid.startswith(name))]
        if len(found) != 1 or found[0] in picked:
            break
        picked += found
    return picked


def _opens(node: Path) -> bool:
    return node.is_char_device() and os.access(node, os.R_OK | os.W_OK)


if __name__ == "__main__":
    try:
        gpus_for(int(sys.argv[1]), picked=os.environ.get("CUDA_VISIBLE_DEVICES"))
    except GpuUnavailable as error:
        sys.exit(str(error))
