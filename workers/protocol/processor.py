"""The processor that the figures were measured on."""

import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_model(cpuinfo: str | None = None) -> str:
    """The name the processor gives itself."""
    return _field(cpuinfo, "model name") or platform.processor() or platform.machine()


def cpu_has_vnni(cpuinfo: str | None = None) -> bool:
    """VNNI sums four products of bytes in 32 bits at once: int8 is faster with it and cannot saturate."""
    return any(flag.endswith("_vnni") for flag in _field(cpuinfo, "flags").split())


def _field(cpuinfo: str | None, name: str) -> str:
    text = cpuinfo if cpuinfo is not None else (_CPUINFO.read_text() if _CPUINFO.exists() else "")
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")
