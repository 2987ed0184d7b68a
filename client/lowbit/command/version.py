"""`lowbit version`."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from lowbit.command.options import Format, FormatOption, examples
from lowbit.command.printing import print_json, print_lines

EPILOG = examples("lowbit version", "lowbit version --format json")

DISTRIBUTIONS = ("lowbit", "lowbit-server")


def version(output: FormatOption = Format.HUMAN) -> None:
    """Print the versions of what is installed here."""
    found = {name: number for name in DISTRIBUTIONS if (number := _version(name)) is not None}
    if output is Format.JSON:
        print_json(found)
    elif output is Format.QUIET:
        print_lines([found["lowbit"]])
    else:
        print_lines(f"{name} {number}" for name, number in found.items())


def _version(distribution: str) -> str | None:
    try:
        return installed(distribution)
    except PackageNotFoundError:
        return None
