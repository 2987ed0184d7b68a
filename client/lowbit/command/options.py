"""Options that several commands share, so that they are spelt and explained alike."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


FormatOption = Annotated[
    Format, typer.Option("--format", help="human: for reading. json: one object. quiet: only ids or paths.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0.0, metavar="SECONDS", help="Stop waiting after this time; the job goes on."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", file_okay=False, metavar="DIR", help="Folder for the files.  [./lowbit-out/JOB]"),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100, help="At most this many.")]
AfterOption = Annotated[
    str | None, typer.Option("--after", metavar="ID", help="Continue a list behind its last id.", show_default=False)
]


def output_folder(chosen: Path | None, job_id: str) -> Path:
    return chosen if chosen is not None else Path("lowbit-out") / job_id


def examples(*lines: str) -> str:
    """The end of a command's help. The marker keeps the lines from being wrapped into a paragraph."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
