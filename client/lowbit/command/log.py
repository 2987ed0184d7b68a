"""A job's log, as a person or a program reads it."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lowbit.command.options import Format
from lowbit.command.printing import printable

if TYPE_CHECKING:
    from lowbit.events import Event


def print_log(events: Iterable["Event"], output: Format) -> None:
    """The log lines among the events, each as soon as it is there."""
    try:
        for event in events:
            if event.type == "log":
                line = json.dumps(event.data, ensure_ascii=False) if output is Format.JSON else _readable(event.data)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    except KeyboardInterrupt:  # the usual end of following; the job goes on
        return


def _readable(line: dict[str, Any]) -> str:
    time, stage = line["created_at"][11:23].rstrip("Z"), line["stage"] or "-"
    first, *rest = line["message"].split("\n")
    head = f"{time}  {line['level']:7}  {stage:9}  {first}"
    return "\n    ".join(printable(part) for part in (head, *rest))
