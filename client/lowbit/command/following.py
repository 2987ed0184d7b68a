"""Waiting for a job, and the three ways out: it ends, the time is over, or Ctrl-C lets it go on alone."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lowbit.command.exits import ExitCode
from lowbit.command.options import Format
from lowbit.command.printing import print_json, print_lines
from lowbit.command.progress import Display
from lowbit.command.verdict import print_verdict
from lowbit.errors import JobFailed, WaitTimeout

if TYPE_CHECKING:
    from lowbit.job import Job


def follow(job: "Job", shown: Display, *, timeout: float | None, output: Format) -> None:
    """Return when the job is done, in whatever way it ended."""
    with _left_alone_on_interrupt(job, output), suppress(JobFailed):  # reported with the result, by `conclude`
        job.wait(timeout, shown.job)


def watch(job: "Job", shown: Display, *, timeout: float | None, output: Format) -> None:
    """As `follow`, but told of everything that happens rather than of the state at each look."""
    with _left_alone_on_interrupt(job, output):
        for _ in job.events(timeout=timeout):
            shown.job(job)
        job.refresh()  # a stream that was cut just behind `done` ends without it


@contextmanager
def _left_alone_on_interrupt(job: "Job", output: Format) -> Iterator[None]:
    """The job goes on when nobody waits any more, and the user is told how to come back to it."""
    try:
        yield
    except KeyboardInterrupt:
        leave(job, output, reason="Detached.")
        raise typer.Exit(ExitCode.DETACHED) from None
    except WaitTimeout as error:
        leave(job, output, reason=f"{error}.")
        raise typer.Exit(ExitCode.TIMEOUT) from None


def leave(job: "Job", output: Format, *, reason: str = "") -> None:
    """Name the job on stdout as the format asks, and on stderr how to come back to it."""
    if output is Format.JSON:
        print_json({**job.data, "variants": [], "files": []})
    else:
        print_lines([job.id])
    if output is not Format.QUIET or reason:
        sys.stderr.write(f"{reason} Resume with: lowbit jobs watch {job.id}\n".lstrip())


def conclude(job: "Job", output: Format, files: list[Path]) -> None:
    """Print a done job and end the command with the code that tells how the job ended."""
    if output is Format.JSON:
        print_json({**job.data, "variants": job.variants(), "files": [str(path) for path in files]})
    elif output is Format.QUIET:
        print_lines([job.id])
    else:
        print_verdict(job)
        print_lines(files)
    if job.status != "succeeded":
        sys.stderr.write(f"lowbit: {JobFailed(job)}\n")
        raise typer.Exit(ExitCode.FAILED)
    if job.result is not None and job.result["outcome"] == "objective_unmet":
        raise typer.Exit(ExitCode.OBJECTIVE_UNMET)
