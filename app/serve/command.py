"""`lowbit serve` and `lowbit worker`, registered with the client's command line through entry points."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.contracts.status import Queue
from app.serve.bind_policy import require_safe_bind
from app.serve.data_directory import DataDirectory, default_data_directory
from app.serve.refusal import Refusal
from app.serve.supervisor import say
from app.settings import SettingMissing, Settings

USAGE = 2


def serve(  # noqa: PLR0913, PLR0917  each argument is a flag
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind; 127.0.0.1 unless set.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to bind; 0 picks a free one.")] = None,
    cpu_workers: Annotated[int | None, typer.Option(min=0, help="Quantize jobs that run at once on the CPU.")] = None,
    gpu_workers: Annotated[
        int | None, typer.Option(min=0, help="Jobs at once on GPUs, each with one to itself; no target uses one yet.")
    ] = None,
    allowed_hosts: Annotated[str | None, typer.Option(help="Names to answer for, separated by commas.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front ends TLS.")] = False,  # noqa: FBT002  typer's way to spell a flag
) -> None:
    """Run the whole service on this machine: database, queue, API and workers.

    Example: lowbit serve --data-dir ./lowbit-data --port 8000
    """
    given = {
        "data_dir": data_dir,
        "host": host,
        "port": port,
        "cpu_workers": cpu_workers,
        "gpu_workers": gpu_workers,
        "allowed_hosts": allowed_hosts,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "behind_proxy": behind_proxy or None,
    }
    try:
        settings = _settings(given)
        require_safe_bind(settings)
        root = (settings.data_dir or default_data_directory()).expanduser().absolute()
        from app.serve.tree import ServiceTree  # noqa: PLC0415  a refused bind need not load the servers' modules

        ServiceTree(settings, DataDirectory(root)).run()
    except Refusal as refusal:
        say(str(refusal))
        raise typer.Exit(refusal.exit_code) from refusal


def worker(
    queues: Annotated[str, typer.Option(help="Which queues to serve, separated by commas.")] = "inspect,cpu",
    slots: Annotated[int | None, typer.Option(min=1, help="Jobs that run at once.")] = None,
) -> None:
    """Join a fleet. LOWBIT_DATABASE_URL, LOWBIT_BROKER_URL and LOWBIT_STORAGE_URL say where it is.

    Example: lowbit worker --queues cpu
    """
    from app.serve.worker_child import worker_command  # noqa: PLC0415  keeps `lowbit --help` quick

    try:
        settings = _settings({})
        for required in (settings.require_database_url, settings.require_broker_url, settings.require_storage_url):
            required()
        settings.require_scratch_dir()
        named = [Queue(name.strip()) for name in queues.split(",")]
    except (Refusal, SettingMissing, ValueError) as error:
        say(str(error))
        raise typer.Exit(USAGE) from error
    usual = settings.gpu_workers if named == [Queue.GPU] else settings.cpu_workers
    command = worker_command(named, slots=slots or max(1, usual))
    os.execv(command[0], command)  # noqa: S606  the worker takes this process's place, and with it its signals


def _settings(given: dict[str, Any]) -> Settings:
    """Flags win over the environment."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "LOWBIT_" + "_".join(str(part) for part in first["loc"]).upper()
        raise Refusal(f"{name}: {first['msg']}", exit_code=USAGE) from error
