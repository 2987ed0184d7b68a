"""`lowbit doctor`: what this machine can keep uploads from, proven, and what would make it better."""

import json
import subprocess
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from lowbit.command.printing import print_facts, print_json, print_table
from pydantic import ValidationError

from app.serve.supervisor import say
from app.settings import Settings

FAILED, USAGE = 1, 2
PROVER = "workers.sandbox.doctor"  # in a process of its own: nothing of the workers is imported here

GET_BUBBLEWRAP = "not installed; as root: apt-get install bubblewrap, or dnf install bubblewrap"
LEAST_LANDLOCK = 6
"""The version of its interface that keeps signals in; the levels without bubblewrap stand on it."""


class Format(StrEnum):
    HUMAN = "human"
    JSON = "json"


def doctor(
    output: Annotated[Format, typer.Option("--format", help="human: for reading. json: one object.")] = Format.HUMAN,
) -> None:
    """Prove what a sandbox can do on this machine, and show which one a worker would use.

    Example: lowbit doctor
    """
    found = _examined(_setting())
    if output == Format.JSON:
        print_json(found)
    else:
        _show(found)
    if not any(level["holds"] for level in found["levels"]):
        raise typer.Exit(FAILED)


def _setting() -> str:
    try:
        return Settings().sandbox
    except ValidationError as error:
        say(f"a setting is wrong: {error.errors()[0]['msg']}")
        raise typer.Exit(USAGE) from error


def _examined(setting: str) -> Any:  # noqa: ANN401  what the prover's JSON holds
    command = [sys.executable, "-m", PROVER, setting]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        say(f"the workers' part of lowbit-server cannot be run here: {lines[-1]}")
        raise typer.Exit(FAILED)
    return json.loads(ran.stdout)


def _show(found: Any) -> None:  # noqa: ANN401
    levels = found["levels"]
    names = list(dict.fromkeys(check["name"] for level in levels for check in level["checks"]))
    rows = [[name.replace("_", " "), *(_verdict(level, name) for level in levels)] for name in names]
    held = [["holds", *("yes" if level["holds"] else "no" for level in levels)]]
    print_table(["check", *(level["level"] for level in levels)], [*rows, *held])
    print_facts(
        {
            "used by a worker": _used(found),
            "bubblewrap": _bubblewrap(found["bubblewrap"]),
            "Landlock": _landlock(found["landlock_version"]),
            "memory control groups": found["memory_control"],
            **{f"{level['level']} fails": level["reason"] for level in levels if not level["holds"]},
        }
    )


def _verdict(level: Any, name: str) -> str:  # noqa: ANN401
    for check in level["checks"]:
        if check["name"] == name:
            return "pass" if check["passed"] else "FAIL" if check["required"] else "no"
    return "-"


def _used(found: Any) -> str:  # noqa: ANN401
    setting = f"LOWBIT_SANDBOX={found['setting']}"
    if found["level"] is None:
        return f"none: a worker with {setting} refuses to start"
    return f"{found['level']} ({setting})"


def _bubblewrap(found: dict[str, str] | None) -> str:
    return f"{found['version']} at {found['path']}" if found else GET_BUBBLEWRAP


def _landlock(version: int) -> str:
    if version >= LEAST_LANDLOCK:
        return f"interface {version}"
    return f"interface {version}; the levels without bubblewrap need {LEAST_LANDLOCK} (Linux 6.12)"
