"""Runs the real `docker compose config`, which needs no container engine."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
EXTERNAL = ROOT / "docker" / "external-services.yml"


def names_in_example() -> list[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return [line.partition("=")[0] for line in lines if line and not line.startswith("#")]


def complete_environment() -> dict[str, str]:
    return {name: f"value{number}" for number, name in enumerate(names_in_example())}


def compose_config(file: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """With this environment only: no .env of the developer's, no variables of the shell."""
    program = Path(sys.executable).with_name("docker-compose")
    files: list[str | Path] = ["--project-directory", ROOT, "--env-file", "/dev/null", "--file", file]
    return subprocess.run(
        [program, *files, "--profile", "*", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def services(file: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    answer = compose_config(file, environment)
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["services"]
    return found
