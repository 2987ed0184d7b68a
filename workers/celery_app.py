"""The Celery instance. Each option says why it has its value.

A message is a poke without content (see `app.jobs.announce`), so the broker is asked for nothing that the database
guarantees: no redelivery, no results, no retries.
"""

import gc
from typing import Any

from celery import Celery, signals

from app.jobs.announce import SOCKET_TIMEOUT_SECONDS
from app.logs import configure_logs
from app.settings import settings

celery = Celery("lowbit", broker=settings().require_broker_url(), include=["workers.tasks"])
celery.conf.update(
    accept_content=["json"],  # pickle from a broker is remote code
    task_ignore_result=True,  # the job's row is the result
    task_acks_late=False,  # a poke that dies with its worker is not missed: the lease is what recovers the job
    worker_prefetch_multiplier=1,  # a busy worker must not hoard pokes that an idle one could use
    worker_cancel_long_running_tasks_on_connection_loss=False,  # a job must outlive a restart of the broker
    broker_connection_retry_on_startup=True,  # the broker may start later than we do
    broker_connection_max_retries=None,  # and may be away for longer than any number of tries
    broker_transport_options={
        "socket_timeout": SOCKET_TIMEOUT_SECONDS * 3,  # the library's default is to wait for ever
        "socket_keepalive": True,
        "health_check_interval": 25,
        "visibility_timeout": 3600,  # nothing of ours is redelivered; this only bounds what a dead worker reserved
    },
    worker_hijack_root_logger=False,  # our own format, with the job's id
    worker_send_task_events=False,
    timezone="UTC",
)


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:  # noqa: ANN401  Celery's own signature
    configure_logs(settings())


@signals.worker_init.connect
def _keep_what_is_loaded(**_: Any) -> None:  # noqa: ANN401  Celery's own signature
    """Modules stay until the end: forks share them as long as no search for garbage touches them, and the end itself
    need not search them, which took half a second."""
    gc.freeze()
