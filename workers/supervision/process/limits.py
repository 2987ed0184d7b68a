"""What one job's processes may use, and the watch that holds them to it."""

import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

from workers.supervision.abnormal_end import OutOfMemory, OutOfScratch, ProcessCrashed
from workers.supervision.process.folder_usage import Uncountable, usage
from workers.supervision.process.oom_kills import memory_limit_bytes, oom_kills
from workers.supervision.process.process_tree import ProcessTree, resident_bytes

LOOK_SECONDS = 1.0
"""Between two looks at memory and disk; each reads a line for every process of the machine."""
MAX_LOG_BYTES = 16 * 1024**2
LEAST_FREE_BYTES = 32 * 1024**2
"""Of the scratch disk, which may hold the database too: a job is stopped before a full disk stops everything."""
MAX_FILES = 20_000
"""Folders too, in a scratch folder; no job of ours makes near as many, and each would be looked at again and again."""
MAX_PROCESSES = 512
"""Of one job; ours starts a handful. Between two looks there may be more, up to `task_limit`."""
MORE_TASKS = 4096


def task_limit() -> int:
    """For RLIMIT_NPROC, which counts all processes and threads of a user: what is there now, and some. Not for root."""
    there_are = Path("/proc/loadavg").read_text().split()[3].partition("/")[2]
    wanted = int(there_are) + MORE_TASKS
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


@dataclass(frozen=True)
class Limits:
    """None: no limit of ours."""

    address_space_bytes: int | None = None
    data_bytes: int | None = None
    """Memory of a process's own that it may write to. For CUDA, which reserves more addresses than there is memory."""
    resident_bytes: int | None = None
    scratch_bytes: int | None = None


@dataclass
class LimitWatch:
    """Looks at a running job's memory, scratch folder and log now and then."""

    limits: Limits
    tree: ProcessTree
    scratch: Path
    log_descriptor: int
    peak_bytes: int = 0
    _kills_before: int = field(default_factory=oom_kills)
    _next: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise an `AbnormalEnd` when a limit is passed; cut the log when it is too long."""
        if time.monotonic() < self._next:
            return
        self._check_processes()
        self._check_scratch()
        if os.fstat(self.log_descriptor).st_size > MAX_LOG_BYTES:
            os.ftruncate(self.log_descriptor, 0)
        self._next = time.monotonic() + LOOK_SECONDS

    def explain(self, crash: ProcessCrashed, *, killed: bool) -> ProcessCrashed | OutOfMemory:
        """What a death was about: the kernel's kill for memory and a refused allocation look like crashes."""
        if killed and oom_kills() > self._kills_before:
            return self._out_of_memory(memory_limit_bytes(), "the machine's")
        limit, name = self._of_one_process()
        if limit is not None and any("MemoryError" in line or "bad_alloc" in line for line in crash.log_tail):
            return self._out_of_memory(limit, name)
        return crash

    def out_of_memory(self) -> OutOfMemory:
        """The process itself says that it was refused more memory."""
        limit, _ = self._of_one_process()
        return self._out_of_memory(limit, "its")

    def _of_one_process(self) -> tuple[int | None, str]:
        if self.limits.data_bytes is not None:
            return self.limits.data_bytes, "its data's"
        return self.limits.address_space_bytes, "its address space's"

    def _check_processes(self) -> None:
        members = self.tree.members()
        if len(members) > MAX_PROCESSES:
            raise ProcessCrashed(f"it started more than {MAX_PROCESSES} processes")
        self.peak_bytes = max(self.peak_bytes, resident_bytes(members))
        if self.limits.resident_bytes is not None and self.peak_bytes > self.limits.resident_bytes:
            raise self._out_of_memory(self.limits.resident_bytes, "its")

    def _check_scratch(self) -> None:
        room = os.statvfs(self.scratch)
        if room.f_bavail * room.f_frsize < LEAST_FREE_BYTES:
            raise OutOfScratch("The worker's disk is nearly full.")
        try:
            used, files = usage(self.scratch, max_files=MAX_FILES)
        except Uncountable as error:
            raise OutOfScratch(f"The job made {error}.") from error
        if files > MAX_FILES:
            raise OutOfScratch(f"The job made more than {MAX_FILES} files.")
        if self.limits.scratch_bytes is not None and used > self.limits.scratch_bytes:
            raise OutOfScratch(f"The job may use {self.limits.scratch_bytes} bytes of scratch disk and used {used}.")

    def _out_of_memory(self, limit_bytes: int | None, name: str) -> OutOfMemory:
        return OutOfMemory(peak_bytes=self.peak_bytes, limit_bytes=limit_bytes, limit_name=name)
