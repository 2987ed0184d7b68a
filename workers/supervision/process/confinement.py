"""The sandbox of this worker: proven once, before the first job, in the process that the others are forked from."""

import os

import structlog

from app.settings import Settings
from workers.sandbox.choice import choose
from workers.sandbox.levels import Level, Sandbox
from workers.sandbox.proof import Proof
from workers.supervision.scratch import attempt_folder

log = structlog.get_logger("lowbit.confinement")

_chosen: dict[str, Sandbox] = {}


def sandbox_in_use(settings: Settings) -> Sandbox:
    """Raises `SandboxUnavailable` when a level that was asked for does not hold."""
    if settings.sandbox not in _chosen:
        with attempt_folder(settings.require_scratch_dir(), f"proof-{os.getpid()}") as folder:
            _chosen[settings.sandbox] = choose(settings.sandbox, folder, unproven=_say_why)
        _tell(_chosen[settings.sandbox])
    return _chosen[settings.sandbox]


def _say_why(proof: Proof) -> None:
    log.warning("a level of the sandbox does not hold", level=proof.level, why=proof.reason)


def _tell(sandbox: Sandbox) -> None:
    if sandbox.level != Level.NONE:
        log.info("sandbox proven", level=sandbox.level)
    elif sandbox.is_declined:
        log.warning("no sandbox: uploaded files are opened with all rights of this worker, as LOWBIT_SANDBOX=off says")
    else:
        log.warning("no sandbox holds here: formats that need one are refused; see `lowbit doctor`")
