import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lowbit.command.external import ExternalCommand, external_commands
from lowbit.command.main import build

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
COMMANDS = {
    "quantize",
    "download",
    "version",
    *(f"{kind} {verb}" for kind in ("models", "datasets") for verb in ("upload", "list", "show", "delete")),
    *(f"jobs {verb}" for verb in ("list", "show", "watch", "wait", "logs", "layers", "cancel", "delete")),
    "recipes list",
    "recipes show",
    *(f"admin tenants {verb}" for verb in ("list", "show", "create", "change")),
    *(f"admin keys {verb}" for verb in ("list", "create", "revoke")),
    "admin jobs requeue",
    "admin gc",
    "admin audit",
}


def lowbit(*arguments: str, state: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which knows no service unless the environment names one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LOWBIT_")}
    code = "import sys; from lowbit.command.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=kept | {"XDG_STATE_HOME": str(state), "HOME": str(state)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def visible_commands() -> Iterator[tuple[str, object]]:
    yield from _below("", build().commands)


def _below(path: str, commands: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, command in commands.items():
        nested = getattr(command, "commands", None)
        if nested is not None:
            yield from _below(f"{path}{name} ", nested)
        elif not command.hidden and not isinstance(command, ExternalCommand):
            yield f"{path}{name}", command


def test_these_are_the_commands() -> None:
    assert {name for name, _ in visible_commands()} == COMMANDS


def test_every_command_has_examples_of_itself() -> None:
    for name, command in visible_commands():
        assert f"  lowbit {name}" in getattr(command, "epilog", ""), name


def test_every_command_and_option_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, command in visible_commands():
        assert f"lowbit {name}" in text, name
        for parameter in getattr(command, "params", []):
            option = [flag for flag in parameter.opts if flag.startswith("--")]
            assert all(f"`{flag}" in text for flag in option), (name, option)
    assert all(f"lowbit {name}" in text for name in external_commands())


def test_help_lists_everything_and_loads_neither_service_nor_numerics() -> None:
    code = (
        "import sys\n"
        "from lowbit.command.main import main\n"
        "sys.argv = ['lowbit', '--help']\n"
        "assert main() == 0\n"
        "heavy = {'app', 'workers', 'torch', 'onnx', 'numpy', 'fastapi', 'pydantic', 'httpx2', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert run.stderr == "[]\n"
    assert all(name in run.stdout for name in ("quantize", "models", "jobs", "serve", "worker"))


def test_an_option_names_the_data_directory_and_outweighs_the_environment(tmp_path: Path) -> None:
    """Nothing listens at port 9, which the message repeats. The key of the other address stays with it."""
    note = {"url": "http://127.0.0.1:9", "key_file": str(tmp_path / "absent.key")}
    (tmp_path / "service.json").write_text(json.dumps(note))
    elsewhere = {"LOWBIT_URL": "http://127.0.0.1:10", "LOWBIT_TOKEN": "lb_of_that"}
    run = lowbit("--data-dir", str(tmp_path), "jobs", "list", state=tmp_path, **elsewhere)
    assert run.returncode == 6
    assert "absent.key" in run.stderr
    run = lowbit("jobs", "list", state=tmp_path, LOWBIT_DATA_DIR=str(tmp_path), LOWBIT_TOKEN="lb_own")
    assert run.returncode == 6
    assert "127.0.0.1:9" in run.stderr


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_a_server_command_without_the_server_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lowbit.command.external.entry_points", lambda **_: [])
    with pytest.raises(SystemExit) as ending:
        build()([name, "--port", "0"])
    assert ending.value.code == 2
    assert "pip install lowbit-server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantise"], "quantize"),
        (["quantize", "absent.onnx", "--calibration", "ds_1"], "there is no file or folder 'absent.onnx'"),
        (["quantize", "mdl_1", "--calibration", "absent.npz"], "there is no file or folder 'absent.npz'"),
        (["quantize", "mdl_1", "--calibration", "ds_1", "--set", "recipe"], "recipe.per_channel=false"),
        (["quantize", "mdl_1", "--calibration", "ds_1", "--max-accuracy-drop", "2"], "less than or equal to 1"),
        (["quantize", "mdl_1"], "--calibration"),
        (["jobs", "list", "--format", "xml"], "xml"),
        (["models", "upload", "absent.onnx"], "absent.onnx"),
    ],
)
def test_a_mistake_in_usage_ends_with_two(arguments: list[str], message: str, tmp_path: Path) -> None:
    run = lowbit(*arguments, state=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantize", "mdl_1", "--calibration", "ds_1", "--text", "review"], "declared when data is uploaded"),
        (
            ["quantize", "mdl_1", "--calibration", "ds_1", "--evaluation", "test.npz", "--label", "y"],
            "'test.npz' is no",
        ),
        (["quantize", "mdl_1", "--calibration", "ds_1", "--image-size", "224"], "HEIGHTxWIDTH"),
        (["quantize", __file__, "--calibration", "ds_1"], ".onnx, .zip"),
        (["datasets", "upload", __file__], "a folder of images"),
        (["datasets", "upload", "."], "holds no images"),
        (["models", "upload", "."], "holds no model"),
    ],
)
def test_a_mistake_about_data_ends_with_two_before_any_service_is_looked_for(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "test.npz").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOWBIT_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ending:
        build()(arguments)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err


def test_without_a_service_the_advice_is_to_start_one(tmp_path: Path) -> None:
    run = lowbit("jobs", "list", state=tmp_path)
    assert run.returncode == 6
    assert run.stderr.startswith("lowbit: No Lowbit service is known. Start one with `lowbit serve`")


def test_a_service_that_does_not_answer_is_no_traceback(tmp_path: Path) -> None:
    # port 1 is reserved and nothing listens there
    run = lowbit("jobs", "list", "--format", "json", state=tmp_path, LOWBIT_URL="http://127.0.0.1:1")
    assert run.returncode == 6
    assert '"code": "no_connection"' in run.stdout
    assert "Traceback" not in run.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert lowbit("version", "--format", "quiet", state=tmp_path).stdout.count(".") == 2
