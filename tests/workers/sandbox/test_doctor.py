"""What the doctor finds out, and which level follows from it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workers.sandbox.canaries import ALLOWED, DENIED
from workers.sandbox.doctor import level_in_use, memory_control
from workers.sandbox.levels import LADDER, Level
from workers.sandbox.proof import Check, Proof

HOLDS = (Check("tcp", passed=True, required=True),)


def test_all_levels_are_proven_and_told_as_one_object() -> None:
    command = [sys.executable, "-m", "workers.sandbox.doctor", "auto"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [level["level"] for level in found["levels"]] == list(LADDER)
    assert all(level["holds"] and level["reason"] == "" for level in found["levels"])
    assert {check["name"] for check in found["levels"][0]["checks"]} == DENIED.keys() | ALLOWED.keys()
    assert (found["setting"], found["level"]) == ("auto", "bubblewrap")
    assert Path(found["bubblewrap"]["path"]).name == "bwrap"
    assert found["bubblewrap"]["version"][0].isdigit()
    assert found["landlock_version"] >= 6


def test_it_loads_no_numerics() -> None:
    code = "import sys, workers.sandbox.doctor, workers.supervision.process.confinement; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded).isdisjoint({"numpy", "torch", "onnx"})


@pytest.mark.parametrize(
    ("setting", "holding", "expected"),
    [
        ("auto", {Level.NAMESPACES, Level.LANDLOCK}, Level.NAMESPACES),
        ("auto", set(), Level.NONE),
        ("landlock", {Level.BUBBLEWRAP, Level.LANDLOCK}, Level.LANDLOCK),
        ("bubblewrap", {Level.LANDLOCK}, None),
        ("off", {Level.LANDLOCK}, Level.NONE),
    ],
)
def test_the_level_in_use(setting: str, holding: set[Level], expected: Level | None) -> None:
    proofs = [Proof(level, HOLDS if level in holding else ()) for level in LADDER]
    assert level_in_use(setting, proofs) == expected


@pytest.mark.parametrize(
    ("groups", "version_2", "expected"),
    [
        ("4:memory:/a\n0::/b\n", "cpu", "v1"),
        ("0::/user.slice\n", "cpu memory pids", "v2"),
        ("5:cpu,cpuacct:/\n0::/\n", "hugetlb", "none"),
    ],
)
def test_who_counts_memory(tmp_path: Path, groups: str, version_2: str, expected: str) -> None:
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "controllers").write_text(version_2)
    assert memory_control(tmp_path / "cgroup", tmp_path / "controllers") == expected
    assert memory_control(tmp_path / "nothing", tmp_path / "nothing") == "none"
