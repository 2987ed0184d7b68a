"""The entry point of `lowbit`: all commands, and the promise that none ends in a traceback."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from lowbit.command import download, quantize, version
from lowbit.command.admin import admin
from lowbit.command.exits import ExitCode
from lowbit.command.external import external_commands
from lowbit.command.inspected import datasets, models
from lowbit.command.jobs import jobs
from lowbit.command.options import examples
from lowbit.command.recipes import recipes

EPILOG = examples(
    "lowbit serve",
    "lowbit quantize model.onnx --calibration calibration.npz --evaluation test.npz",
    "lowbit jobs list",
)


def build() -> TyperGroup:
    app = typer.Typer(name="lowbit", no_args_is_help=True, rich_markup_mode=None, epilog=EPILOG)
    app.callback()(lowbit)
    app.command(epilog=quantize.EPILOG)(quantize.quantize)
    app.command(epilog=download.EPILOG)(download.download)
    groups = {"models": models, "datasets": datasets, "jobs": jobs, "recipes": recipes, "admin": admin}
    for name, group in groups.items():
        app.add_typer(group, name=name)
    app.command(epilog=version.EPILOG)(version.version)
    root = typer.main.get_group(app)
    for name, command in external_commands().items():
        root.commands.setdefault(name, command)
    return root


def lowbit(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Of the service that is meant, where several run here."),
    ] = None,
) -> None:
    """Quantize neural networks with a Lowbit service.

    The service is the one of LOWBIT_URL and LOWBIT_TOKEN, else one on this machine: that of --data-dir or
    LOWBIT_DATA_DIR, or the one that was started first.
    Exit codes: 0 ok, 1 failed, 2 usage, 3 objective unmet, 4 key, 5 not found, 6 no connection, 124 timeout,
    130 detached by Ctrl-C.
    """
    if data_dir is None:
        return
    os.environ["LOWBIT_DATA_DIR"] = str(data_dir)
    if os.environ.pop("LOWBIT_URL", None):  # an option says more than the environment, and the key is that address's
        os.environ.pop("LOWBIT_TOKEN", None)


def main() -> int:
    """Run one command and return its exit code."""
    try:
        status = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has gone, as in `lowbit jobs list | head`; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return status


def _run() -> int:
    try:
        build()(prog_name="lowbit")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else ExitCode.OK if ending.code is None else ExitCode.FAILED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback helps nobody at a prompt
        sys.stderr.write(f"lowbit: unexpected {type(error).__name__}: {error}\n")
        return ExitCode.FAILED
    return ExitCode.OK
