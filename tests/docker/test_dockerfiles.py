"""The images: accepted by hadolint, run without root, and the API's without numerics."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
API = DOCKER / "api.Dockerfile"
HEAVY = {"torch", "transformers", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "tensorrt", "numpy"}

every_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)


def instructions(dockerfile: Path, name: str) -> list[str]:
    """What follows the name, with continued lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.+)$", joined, flags=re.MULTILINE)


def test_there_are_three() -> None:
    assert [file.name for file in DOCKERFILES] == ["api.Dockerfile", "worker-cpu.Dockerfile", "worker-cuda.Dockerfile"]


@every_dockerfile
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run([hadolint, "--no-color", dockerfile], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout == ""


@every_dockerfile
def test_a_rule_is_ignored_only_with_a_reason(dockerfile: Path) -> None:
    ignored = [line for line in dockerfile.read_text().splitlines() if "hadolint ignore" in line]
    assert all(re.fullmatch(r"# hadolint ignore=DL\d+ # \w+.+", line) for line in ignored)


@every_dockerfile
def test_it_does_not_run_as_root(dockerfile: Path) -> None:
    assert instructions(dockerfile, "USER") == ["10001:10001"]


@every_dockerfile
def test_signals_reach_the_program(dockerfile: Path) -> None:
    """The exec form starts the program itself; a shell in between would swallow SIGTERM."""
    (command,) = re.findall(r"^CMD (.+)$", dockerfile.read_text(), flags=re.MULTILINE)
    assert json.loads(command)
    assert instructions(dockerfile, "STOPSIGNAL") == ["SIGTERM"]
    assert "PYTHONUNBUFFERED=1" in dockerfile.read_text()


@every_dockerfile
def test_bases_are_pinned_and_no_host_is_named(dockerfile: Path) -> None:
    bases = [line.split()[0] for line in instructions(dockerfile, "FROM")]
    assert all(re.search(r":\d+\.\d+", base) for base in bases)
    assert "://" not in dockerfile.read_text()


@every_dockerfile
def test_what_is_copied_exists_and_is_sent_to_the_builder(dockerfile: Path) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[:-1] for line in instructions(dockerfile, "COPY") if not line.startswith("--from")]
    for source in [Path(path) for paths in copied for path in paths]:
        assert (ROOT / source).exists(), source
        assert source.parts[0] in sent, source


def test_every_install_keeps_to_the_tested_versions() -> None:
    for dockerfile in DOCKERFILES:
        for command in instructions(dockerfile, "RUN"):
            for install in re.findall(r"pip install[^;&]*", command):
                assert "--constraint" in install, f"{dockerfile.name}: {install}"


def test_the_api_image_installs_no_extra_and_no_worker_code() -> None:
    (install,) = [line for line in instructions(API, "RUN") if "pip install" in line]
    assert install == "pip install --constraint constraints.txt ./client ."
    assert not any("workers" in line for line in instructions(API, "COPY"))


def test_the_api_image_installs_no_numerics() -> None:
    """Follows every requirement, from the distributions that are installed here."""
    assert closure("lowbit-server") & HEAVY == set()
    assert {"lowbit", "fastapi", "boto3", "botocore"} <= closure("lowbit-server")


def closure(distribution: str) -> set[str]:
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [other for other in required_by(name) if other not in found]
    return found


def required_by(distribution: str) -> list[str]:
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return []
    wanted = [Requirement(line) for line in lines]
    return [
        one.name.lower().replace("_", "-") for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def test_the_gpu_constraints_pin_the_gpu_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {one.name: one for one in map(Requirement, project["optional-dependencies"]["gpu"])}
    lines = (DOCKER / "constraints-gpu.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert pinned.keys() == extra.keys()
    assert all(extra[name].specifier.contains(version) for name, version in pinned.items())


@every_dockerfile
def test_the_workers_bring_bubblewrap_and_the_api_does_not(dockerfile: Path) -> None:
    brings = any("bubblewrap" in line for line in instructions(dockerfile, "RUN"))
    assert brings == (dockerfile != API)
