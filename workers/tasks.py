"""The one task: claim what is next in a queue and see it through. Running it twice, or for nothing, does no harm."""

import os
import signal
import socket
import sys
from typing import Any

import structlog
from billiard.process import current_process
from celery import signals

from app.contracts.status import Queue
from app.die_with_parent import set_parent_death_signal
from app.ids import new_id
from app.jobs.announce import TASK_NAME
from app.observability.tracing import configure_tracing, flush_traces
from app.settings import settings
from app.storage import StoreUnavailable
from app.targets.roster import Presence
from app.undumpable import forbid_inspection
from app.version import VERSION
from workers.celery_app import celery
from workers.sandbox.choice import SandboxUnavailable
from workers.sandbox.gpu import Gpu, GpuUnavailable, gpus_for
from workers.supervision.crew import Crew, worker_engine
from workers.supervision.process.confinement import sandbox_in_use
from workers.supervision.roster import RosterEntry
from workers.supervision.scratch import sweep
from workers.supervision.shutdown import SHUTDOWN

log = structlog.get_logger("lowbit.tasks")

_crew: Crew | None = None
_gpus: list[Gpu] = []
_roster_entry: RosterEntry | None = None


@celery.task(name=TASK_NAME)
def run_next(queue: str) -> None:
    """Work until nothing waits in the queue, or the worker is told to stop."""
    try:
        crew = _crew_of_this_process()
    except StoreUnavailable as error:  # the next message asks again
        log.warning("nothing is claimed: the object store does not answer", error=str(error))
        return
    while not SHUTDOWN.is_set() and crew.run_one(queue):
        pass


def _crew_of_this_process() -> Crew:
    global _crew  # noqa: PLW0603  connections belong to a process, and are made after the fork
    if _crew is None:
        _crew = Crew.of(settings(), gpu=_gpu_of_this_process())
    return _crew


def _gpu_of_this_process() -> Gpu | None:
    """A process that takes a dead one's place in the pool has its number, and so its GPU."""
    number: int = current_process().index  # type: ignore[attr-defined]  # the pool sets it
    return _gpus[number] if _gpus else None


@signals.worker_init.connect
def _keep_secrets(**_: Any) -> None:  # noqa: ANN401  Celery's own signature
    forbid_inspection()  # the pool's processes are forked later, and inherit it


@signals.worker_init.connect
@signals.worker_process_init.connect  # in the place of a process that was killed, perhaps
def _clean_up_after_the_dead(**_: Any) -> None:  # noqa: ANN401  Celery's own signature
    sweep(settings().require_scratch_dir())


@signals.celeryd_after_setup.connect  # logs are set up, and the pool's processes are not forked yet
def _prove_the_sandbox(instance: Any, **_: Any) -> None:  # noqa: ANN401  the worker
    try:
        if Queue.GPU in instance.app.amqp.queues.consume_from:
            _gpus[:] = gpus_for(instance.concurrency, picked=os.environ.get("CUDA_VISIBLE_DEVICES"))
        sandbox_in_use(settings())
    except (SandboxUnavailable, GpuUnavailable) as error:
        sys.exit(f"lowbit: {error}")


@signals.worker_process_init.connect
def _die_with_the_worker(**_: Any) -> None:  # noqa: ANN401
    set_parent_death_signal(signal.SIGKILL)
    configure_tracing("lowbit-worker")  # here, as its sending thread would not survive the fork


@signals.worker_ready.connect
def _enter_the_roster(sender: Any, **_: Any) -> None:  # noqa: ANN401  the consumer
    global _roster_entry  # noqa: PLW0603  one for a worker
    if _roster_entry is not None:
        return  # ready once more, after the broker was away
    presence = Presence(
        id=new_id("wrk"),
        hostname=socket.gethostname(),
        pid=os.getpid(),
        queues=sorted(sender.app.amqp.queues.consume_from),
        slots=sender.controller.concurrency,
        version=VERSION,
    )
    _roster_entry = RosterEntry(presence, worker_engine(settings(), connections=1))
    _roster_entry.start()


@signals.worker_shutdown.connect
def _leave_the_roster(**_: Any) -> None:  # noqa: ANN401
    if _roster_entry is not None:
        _roster_entry.stop()


@signals.worker_process_shutdown.connect
def _send_the_last_spans(**_: Any) -> None:  # noqa: ANN401
    flush_traces()


@signals.worker_shutting_down.connect
def _give_jobs_back(**_: Any) -> None:  # noqa: ANN401
    SHUTDOWN.set()
