"""`lowbit doctor` on this machine, where every level holds, and on lesser ones."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from app.serve import doctor_command

LOWBIT = Path(sys.executable).with_name("lowbit")


def doctor(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    told = {**os.environ, **(environment or {})}
    return subprocess.run([LOWBIT, "doctor", *arguments], capture_output=True, text=True, env=told, check=False)


def test_a_table_of_levels_and_what_each_denies() -> None:
    ran = doctor()
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].split() == ["check", "bubblewrap", "namespaces", "landlock"]
    rows = {line[: lines[0].index("bubblewrap")].strip(): line.split()[-3:] for line in lines[1:] if "pass" in line}
    assert rows["read file"] == rows["udp"] == rows["others environment"] == ["pass", "pass", "pass"]
    assert rows["shared processes"] == ["pass", "no", "no"]
    assert ["holds", "yes", "yes", "yes"] in [line.split() for line in lines]
    assert "bubblewrap (LOWBIT_SANDBOX=auto)" in ran.stdout


def test_without_bubblewrap_it_says_how_to_get_it_and_what_is_used_instead(tmp_path: Path) -> None:
    ran = doctor("--format", "json", environment={"PATH": str(tmp_path)})
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["level"] == "namespaces"
    assert found["bubblewrap"] is None
    assert "apt-get install bubblewrap" in found["levels"][0]["reason"]


def test_a_level_that_was_asked_for_and_does_not_hold_is_pointed_out(tmp_path: Path) -> None:
    ran = doctor(environment={"PATH": str(tmp_path), "LOWBIT_SANDBOX": "bubblewrap"})
    assert "a worker with LOWBIT_SANDBOX=bubblewrap refuses to start" in ran.stdout


def test_a_level_that_does_not_exist_is_a_mistake_in_usage() -> None:
    ran = doctor(environment={"LOWBIT_SANDBOX": "chroot"})
    assert ran.returncode == 2
    assert "'auto', 'bubblewrap', 'namespaces', 'landlock' or 'off'" in ran.stderr


def test_it_fails_where_no_level_holds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor_command, "_examined", lambda _: _found(holds=False))
    with pytest.raises(typer.Exit) as caught:
        doctor_command.doctor()
    assert caught.value.exit_code == 1
    said = capsys.readouterr().out
    assert "interface 3; the levels without bubblewrap need 6 (Linux 6.12)" in said
    assert "landlock fails" in said


def test_an_installation_without_the_workers_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "PROVER", "workers.no_such_module")
    with pytest.raises(typer.Exit) as caught:
        doctor_command.doctor()
    assert caught.value.exit_code == 1
    assert "the workers' part of lowbit-server cannot be run here" in capsys.readouterr().err


def _found(*, holds: bool) -> dict[str, Any]:
    level = {"level": "landlock", "holds": holds, "reason": "" if holds else "no", "checks": []}
    return {
        "setting": "auto", "level": "landlock" if holds else "none", "levels": [level], "bubblewrap": None,
        "landlock_version": 3, "memory_control": "v2", "kernel": "6.1",
    }  # fmt: skip
