"""The work of a job that has a process of its own: its inputs, the process, and what the process says meanwhile."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from app.contracts.status import Stage
from workers.protocol.events import Event
from workers.protocol.outcome import Outcome, Refused
from workers.sandbox.gpu import Gpu
from workers.sandbox.levels import Level
from workers.supervision.brief import Brief
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.kind import Kind
from workers.supervision.process import job_process
from workers.supervision.process.confinement import sandbox_in_use
from workers.supervision.process.limits import Limits
from workers.supervision.process.stall import StallWatch
from workers.supervision.steps import Steps
from workers.supervision.transfers import Transfers

log = structlog.get_logger("lowbit.process_work")

SHOWN_EVERY_SECONDS = 0.25
"""Between two reports: each is a database write, and the process may talk as fast as it likes."""


@dataclass
class ProcessWork:
    kind: Kind[Any, Any]
    held: HeldJob
    transfers: Transfers
    scratch: Path
    gpu: Gpu | None = None

    def __post_init__(self) -> None:
        self._steps: Steps | None = None
        self._stall = StallWatch(factor=self.held.settings.stall_seconds)
        self._shown_at = time.monotonic()
        self._has_news = False

    def outcome(self) -> Outcome:
        """Bring what the process needs, then run it to its end."""
        self.held.enter(Stage.FETCH)
        with self.held.sessions() as session:
            brief = self.kind.brief(session, self.held.job, self.held.settings)
        brief.bring(self.transfers, self.scratch, tenant_id=self.held.job.tenant_id)
        if self.kind.keeps_steps:
            self._steps = Steps(self.held, self.transfers, self.scratch, brief.task)
            self._steps.bring()
        sandbox = sandbox_in_use(self.held.settings)
        refusal = None if sandbox.may_open_untrusted else self.kind.refusal_without_sandbox(brief.task)
        if refusal is not None:
            return Refused(problem=refusal)
        if sandbox.level == Level.NONE:
            log.warning("an upload is opened without a sandbox")
        self._stall.note(self.held.record.current)
        try:
            return job_process.run(
                self.scratch,
                command=job_process.COMMAND,
                level=sandbox.level,
                limits=self._limits(brief),
                on_event=self._on_event,
                check=self._check,
                gpu=self.gpu,
            )
        finally:
            self._has_news = True
            self._show_news()

    def _limits(self, brief: Brief[Any]) -> Limits:
        settings = self.held.settings
        resident = (settings.job_rss_bytes, self.kind.room_bytes(brief.bytes_in(self.scratch)))
        return Limits(
            address_space_bytes=None if self.gpu else settings.job_memory_bytes,
            data_bytes=settings.job_memory_bytes if self.gpu else None,
            resident_bytes=min((limit for limit in resident if limit is not None), default=None),
            scratch_bytes=settings.job_scratch_bytes,
        )

    def _check(self) -> None:
        self.held.check()
        self._stall.check()
        if self._has_news and time.monotonic() - self._shown_at >= SHOWN_EVERY_SECONDS:
            self._show_news()

    def _on_event(self, event: Event) -> None:
        stages_before = self.held.record.stages_seen
        match event.event:
            case "log":
                self.held.log.take(event, stage=self.held.record.current)
            case "step" | "reused":
                if self._steps is not None:
                    self._steps.take(event)
            case _:
                self.held.record.take(event)
        self._stall.note(self.held.record.current)
        self._has_news = True
        if self.held.record.stages_seen > stages_before:  # each new stage is shown, however short; there are few
            self._show_news()

    def _show_news(self) -> None:
        if self._has_news:
            self.held.report()
            self._has_news, self._shown_at = False, time.monotonic()
