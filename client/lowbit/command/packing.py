"""What is said on stderr before several files are sent as one."""

from lowbit.command.figures import size
from lowbit.folder_contents import Contents

SHOWN = 6


def packing(contents: Contents) -> str:
    count = len(contents.members)
    told = f"{contents.name}: {count} {'file' if count == 1 else 'files'}, {size(contents.bytes)}"
    return f"{told}; left out: {_some(contents.left_out)}" if contents.left_out else told


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
