"""How often the kernel has killed for lack of memory, as far as this machine lets us see."""

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
VMSTAT = Path("/proc/vmstat")
OUR_CGROUPS = Path("/proc/self/cgroup")


def oom_kills() -> int:
    """A count that rises: of our own control group where it can be read, else of the machine."""
    for path in (*_counters(OUR_CGROUPS), VMSTAT):
        count = _count(path)
        if count is not None:
            return count
    return 0


def memory_limit_bytes() -> int | None:
    """What our control group may use, if it says."""
    names = {"memory.events": "memory.max", "memory.oom_control": "memory.limit_in_bytes"}
    for path in _counters(OUR_CGROUPS):
        try:
            text = path.with_name(names[path.name]).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 2**62:  # version 1 writes a huge number for none
            return int(text)
    return None


def _counters(ours: Path) -> list[Path]:
    """The files of our group, in version 2 and 1. In a container the group's own path may not be shown: try the top."""
    found = []
    try:
        lines = ours.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        for inside in (group.lstrip("/"), ""):
            if controllers == "":
                found.append(CGROUPS / inside / "memory.events")
            elif "memory" in controllers.split(","):
                found.append(CGROUPS / "memory" / inside / "memory.oom_control")
    return found


def _count(path: Path) -> int | None:
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return None
    return next((int(row[1]) for row in rows if row[:1] == ["oom_kill"]), None)
