"""The command line of bubblewrap: a file system that holds nothing but what is put into it, and namespaces of its own.

`bwrap` stays outside as the one that waits; inside, its first process buries orphans, and when the command ends all the
rest is killed with it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from workers.sandbox.namespaces import USER_INSIDE
from workers.sandbox.readable_paths import PROCESSOR, readable_paths

PRIVATE_TEMPORARY = ".tmp"
"""In the scratch folder, shown as /tmp: so it counts as scratch, and no memory is filled through it."""
SIGNALS_FROM = 128

_CONFINED = (
    *("--unshare-user", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    *("--uid", str(USER_INSIDE), "--gid", str(USER_INSIDE), "--hostname", "lowbit"),
    *("--cap-drop", "ALL", "--die-with-parent"),
    *("--proc", "/proc", "--dev", "/dev"),
)


def find_bubblewrap() -> str | None:
    return shutil.which("bwrap")


def arguments(scratch: Path, *, devices: Sequence[Path] = ()) -> list[str]:
    """All options but the filter. Makes the folder that is shown as /tmp."""
    temporary = scratch / PRIVATE_TEMPORARY
    temporary.mkdir(mode=0o700, exist_ok=True)
    given = list(_CONFINED)
    given += ["--bind", str(temporary), "/tmp"]  # noqa: S108  before what may lie below it
    for path in readable_paths():
        given += _shown(path)
    for path in (Path("/sys"),) if devices else PROCESSOR:
        given += ["--ro-bind-try", str(path), str(path)]
    for path in devices:
        given += ["--dev-bind", str(path), str(path)]
    given += ["--bind", str(scratch), str(scratch), "--chdir", str(scratch)]
    # root's process could change the kernel's settings, and fill memory
    given += _kernel_settings_shown() if devices else ["--remount-ro", "/proc"]
    for name in ("/dev", "/"):
        given += ["--remount-ro", name]
    return given


def _kernel_settings_shown() -> list[str]:
    """All of /proc but the processes, to be read: CUDA gives its threads names, by writing to /proc/<pid>/task."""
    shown: list[str] = []
    for path in sorted(Path("/proc").iterdir()):
        if not path.name.isdigit() and not path.is_symlink():
            shown += ["--ro-bind-try", str(path), str(path)]
    return shown


def returncode(code: int) -> int:
    """`bwrap` ends with 128 and a number where the command was ended by that signal; a negative number says so here."""
    return SIGNALS_FROM - code if SIGNALS_FROM < code <= SIGNALS_FROM + 64 else code


def _shown(path: Path) -> list[str]:
    if path.is_symlink() and len(path.parts) == 2:  # /lib of a merged system
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)]
