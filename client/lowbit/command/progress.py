"""What a person sees while work goes on, always on stderr: bars in a terminal, a line per change elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from lowbit.command.exits import ExitCode
from lowbit.command.figures import size
from lowbit.command.options import Format
from lowbit.command.packing import packing
from lowbit.command.printing import printable

if TYPE_CHECKING:
    from rich.progress import Progress, Task

    from lowbit.folder_contents import Contents
    from lowbit.job import Job


class Display(Protocol):
    def packing(self, contents: "Contents") -> None: ...

    def transfer(self, path: Path, done_bytes: int, total_bytes: int) -> None: ...

    def job(self, job: "Job") -> None: ...


@contextmanager
def display(output: Format) -> Iterator[Display]:
    """The display that suits the output format and where stderr goes.

    Ctrl-C during a transfer ends the command with a word on how to go on.
    """
    with _suitable(output) as chosen:
        watched = Watched(chosen)
        try:
            yield watched
        except KeyboardInterrupt:
            if watched.under_way is None:
                raise
            sys.stderr.write(
                f"Interrupted. The same command goes on with {printable(watched.under_way.name)} where it stopped.\n"
            )
            raise typer.Exit(ExitCode.DETACHED) from None


@contextmanager
def _suitable(output: Format) -> Iterator[Display]:
    if output is Format.QUIET:
        yield Silence()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield Bars(progress)


class Watched:
    """Another display, and the file that is on its way."""

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self.under_way: Path | None = None

    def packing(self, contents: "Contents") -> None:
        self._shown.packing(contents)

    def transfer(self, path: Path, done_bytes: int, total_bytes: int) -> None:
        self.under_way = path if done_bytes < total_bytes else None
        self._shown.transfer(path, done_bytes, total_bytes)

    def job(self, job: "Job") -> None:
        self._shown.job(job)


class Silence:
    def packing(self, contents: "Contents") -> None:
        """Nothing to say."""

    def transfer(self, path: Path, done_bytes: int, total_bytes: int) -> None:
        """Nothing to say."""

    def job(self, job: "Job") -> None:
        """Nothing to say."""


class Lines:
    """One line for each finished transfer and each new stage: what a log of a build should keep."""

    def __init__(self) -> None:
        self._last = ""

    def packing(self, contents: "Contents") -> None:
        self._say(packing(contents))

    def transfer(self, path: Path, done_bytes: int, total_bytes: int) -> None:
        if done_bytes == total_bytes:
            self._say(f"{path.name}: {size(total_bytes)} transferred")

    def job(self, job: "Job") -> None:
        self._say(f"{job.id}: {headline(job)}")

    def _say(self, line: str) -> None:
        if line != self._last:
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()
            self._last = line


class Bars:
    """A bar for each transfer and one for the stage that the job is in."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._tasks: dict[str, Task] = {}

    def packing(self, contents: "Contents") -> None:
        self._progress.console.print(printable(packing(contents)), markup=False, highlight=False)

    def transfer(self, path: Path, done_bytes: int, total_bytes: int) -> None:
        name = printable(path.name)
        text = (
            f"{name}  {size(done_bytes)} of {size(total_bytes)}" if done_bytes < total_bytes else f"{name}  transferred"
        )
        self._show(str(path), text, done_bytes / max(total_bytes, 1))

    def job(self, job: "Job") -> None:
        progress = job.progress
        self._show(job.id, headline(job), progress["fraction"] if progress else None)

    def _show(self, key: str, text: str, fraction: float | None) -> None:
        """A bar without a fraction moves to and fro."""
        if key not in self._tasks:
            self._progress.add_task(text)
            self._tasks[key] = self._progress.tasks[-1]
        task = self._tasks[key]
        task.total = None if fraction is None else 1.0  # `update` cannot set a total back to None
        self._progress.update(task.id, description=text, completed=fraction or 0.0)


def headline(job: "Job") -> str:
    return f"{job.status}: {job.stage}" if job.stage and not job.done else job.status
