"""What surrounds every command: a client, and errors turned into a message and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from lowbit.command.exits import ExitCode, exit_code_of
from lowbit.command.options import Format
from lowbit.command.printing import print_json
from lowbit.errors import LowbitError, NoConnection, ProblemError, WaitTimeout

if TYPE_CHECKING:
    from lowbit.client import Client


@contextmanager
def connected(output: Format) -> Iterator["Client"]:
    """A client for the duration of a command. Errors end the command; none escapes as a traceback."""
    from lowbit.client import Client  # noqa: PLC0415 - the HTTP library takes a tenth of a second, which --help saves

    with reported(output), Client() as client:
        yield client


@contextmanager
def reported(output: Format) -> Iterator[None]:
    try:
        yield
    except LowbitError as error:
        complain(error, output)
        raise typer.Exit(exit_code_of(error)) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"lowbit: {error}\n")
        raise typer.Exit(ExitCode.FAILED) from error


def complain(error: LowbitError, output: Format) -> None:
    """Say what went wrong: on stderr for people, and as an object on stdout for `--format json`."""
    sys.stderr.write(f"lowbit: {error}\n")
    if output is Format.JSON:
        print_json({"error": problem_object(error)})


def problem_object(error: LowbitError) -> dict[str, object]:
    """The service's problem as it came, or one of the same shape for what happened on this side."""
    if isinstance(error, ProblemError):
        return dict(error.problem.raw)
    return {"code": _LOCAL_CODES.get(type(error), "client_error"), "title": str(error), "detail": str(error)}


_LOCAL_CODES: dict[type[LowbitError], str] = {NoConnection: "no_connection", WaitTimeout: "wait_timeout"}
