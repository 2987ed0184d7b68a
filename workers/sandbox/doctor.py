"""`python -m workers.sandbox.doctor SETTING`: proves every level and prints all that is found, as one JSON object."""

import json
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from workers.sandbox import landlock
from workers.sandbox.bubblewrap import find_bubblewrap
from workers.sandbox.levels import AUTO, LADDER, OFF, Level
from workers.sandbox.proof import Proof, prove

_CONTROLLERS = Path("/proc/self/cgroup")
_VERSION_2 = Path("/sys/fs/cgroup/cgroup.controllers")


def main(setting: str) -> None:
    proofs = [_proven(level) for level in LADDER]
    print(json.dumps(report(setting, proofs)))  # noqa: T201  this is what it is for


def report(setting: str, proofs: list[Proof]) -> dict[str, object]:
    return {
        "setting": setting,
        "level": level_in_use(setting, proofs),
        "levels": [
            {
                "level": proof.level,
                "holds": proof.holds,
                "reason": proof.reason,
                "checks": [asdict(check) for check in proof.checks],
            }
            for proof in proofs
        ],
        "bubblewrap": _bubblewrap(),
        "landlock_version": landlock.version(),
        "memory_control": memory_control(),
        "kernel": platform.release(),
    }


def level_in_use(setting: str, proofs: list[Proof]) -> Level | None:
    """What a worker with this setting would use; None if it would refuse to start."""
    if setting == OFF:
        return Level.NONE
    holding = [proof.level for proof in proofs if proof.holds]
    if setting == AUTO:
        return holding[0] if holding else Level.NONE
    return Level(setting) if setting in holding else None


def memory_control(groups: Path = _CONTROLLERS, version_2: Path = _VERSION_2) -> str:
    """Which version of control groups counts and limits memory here: `v1`, `v2` or `none`."""
    try:
        if any("memory" in line.split(":")[1].split(",") for line in groups.read_text().splitlines()):
            return "v1"
        return "v2" if "memory" in version_2.read_text().split() else "none"
    except OSError:
        return "none"


def _bubblewrap() -> dict[str, str] | None:
    program = find_bubblewrap()
    if program is None:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return {"path": program, "version": said.strip().removeprefix("bubblewrap ")}


def _proven(level: Level) -> Proof:
    with TemporaryDirectory(prefix="lowbit-doctor-") as folder:
        return prove(level, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
