"""What a process holds is hidden from others of its user, and it can still do its work."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import os, sys, tempfile, time
from pathlib import Path
from app.undumpable import forbid_inspection
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
forbid_inspection()
with tempfile.TemporaryFile() as file:
    file.write(b"x"); file.flush()
    assert Path(f"/proc/self/fd/{file.fileno()}").read_bytes() == b"x"  # how outputs are stored
holder = os.getpid()
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-c", f"open('/proc/{holder}/environ').read()"])
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_another_process_of_the_same_user_cannot_read_the_environment() -> None:
    environment = {**os.environ, "SECRET": "canary", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "PermissionError" in done.stderr) == (1, True)
