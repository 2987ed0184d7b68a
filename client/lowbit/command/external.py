"""Commands of other distributions, found by the entry points of the group `lowbit.commands`.

An entry point names a plain function with typer's annotations. It is imported only when its command runs, so that
`lowbit --help` does not load a web framework.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperCommand

from lowbit.command.exits import ExitCode

GROUP = "lowbit.commands"

SERVER_COMMANDS = {
    "serve": "Run the service on this machine.",
    "worker": "Run workers for a service.",
    "doctor": "Check what this machine can keep uploads from.",
}
"""Listed even when their distribution is absent: then they tell which one to install."""


class ExternalCommand(TyperCommand):
    """Stands for a command until it is used, and then makes way for the real one."""

    def __init__(self, name: str, entry_point: EntryPoint | None) -> None:
        super().__init__(name=name, help=_summary(name, entry_point))
        self._entry_point = entry_point

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:  # noqa: ANN401 - typer keeps the types private
        """Where typer turns to one command: its name was typed."""
        return self._load().make_context(info_name, args, *rest, **extra)

    def _load(self) -> Any:  # noqa: ANN401 - the type is private to typer
        if self._entry_point is None:
            typer.echo(
                f"lowbit: `lowbit {self.name}` needs the server. Install it: pip install lowbit-server", err=True
            )
            raise typer.Exit(ExitCode.USAGE)
        try:
            function = self._entry_point.load()
        except ImportError as error:
            typer.echo(f"lowbit: `lowbit {self.name}` cannot be loaded: {error}", err=True)
            raise typer.Exit(ExitCode.FAILED) from error
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name)(function)
        return typer.main.get_command(app)


def external_commands() -> dict[str, ExternalCommand]:
    found: dict[str, EntryPoint | None] = dict.fromkeys(SERVER_COMMANDS)
    found |= {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}
    return {name: ExternalCommand(name, entry_point) for name, entry_point in found.items()}


def _summary(name: str, entry_point: EntryPoint | None) -> str:
    if name in SERVER_COMMANDS:
        return SERVER_COMMANDS[name]
    origin = entry_point.dist.name if entry_point is not None and entry_point.dist is not None else "another package"
    return f"A command of {origin}."
