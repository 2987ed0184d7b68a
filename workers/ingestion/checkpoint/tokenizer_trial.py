"""Running the probe of a tokenizer in a process of its own, and believing little of what comes back."""

import json
import os
import subprocess
import sys
from pathlib import Path

from app.contracts.problem import quoted
from workers.ingestion.checkpoint.tokenizer_screen import invalid, too_complex

_PROBE = (sys.executable, "-I", "-m", "workers.ingestion.checkpoint.tokenizer_probe")
"""-I: nothing is imported from the working directory, which may hold a stranger's files."""

_WALL_SECONDS = 120
"""The probe limits its own processor time; this is for a machine that gives it none."""

_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def try_tokenizer(path: Path, *, command: tuple[str, ...] = _PROBE) -> int:
    """The highest number that the tokenizer gave to anything. Raises ProblemFound."""
    try:
        ended = subprocess.run(
            [*command, str(path)],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WALL_SECONDS,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise too_complex("keeps the tokenizer busy for minutes") from error
    if ended.returncode < 0:
        raise too_complex("exhausts the time or the memory that a tokenizer may take")
    answer = _answer(ended.stdout) if ended.returncode == 0 else {}
    if answer.get("code") == "tokenizer_too_complex":
        raise too_complex(f"is refused: {quoted(str(answer.get('reason')))}")
    highest = answer.get("highest_id")
    if type(highest) is not int:
        raise invalid(f"cannot be used: {quoted(str(answer.get('reason', 'the library could not open it')))}")
    return highest


def _answer(line: bytes) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
