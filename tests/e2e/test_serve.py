"""`lowbit serve` as a person meets it: what it refuses, what it leaves, and what it keeps."""

import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import httpx2
import numpy as np
import psutil
import pytest

from tests.e2e import tiny
from tests.servers.folders import short_folder
from tests.servers.processes import living, seen
from tests.servers.service import STOP_SECONDS, Service, running_service, serve_command, start_service


def _run(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*serve_command(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(folder), **(environment or {})},
    )


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["--host", "0.0.0.0"], "--allowed-hosts"),
        (["--host", "::"], "--allowed-hosts"),
        (["--host", "0.0.0.0", "--allowed-hosts", "quant.example"], "--tls-cert"),
        (["--host", "0.0.0.0", "--behind-proxy"], "--allowed-hosts"),
        (["--tls-cert", "cert.pem"], "--tls-key"),
    ],
)
def test_a_bind_that_is_not_safe_is_refused_with_one_line(arguments: list[str], missing: str) -> None:
    with short_folder() as folder:
        refused = _run(*arguments, folder=folder / "data")
        assert refused.returncode == 2
        assert missing in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert not (folder / "data").exists()


def test_more_jobs_on_gpus_than_there_are_is_refused_with_one_line() -> None:
    with short_folder() as folder:
        refused = _run("--gpu-workers", "1", folder=folder / "data", environment={"CUDA_VISIBLE_DEVICES": ""})
        assert refused.returncode == 1
        assert "GPU" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert not (folder / "data").exists()


def test_a_bad_setting_is_named() -> None:
    with short_folder() as folder:
        refused = _run(folder=folder, environment={"LOWBIT_LEASE_SECONDS": "soon"})
        assert refused.returncode == 2
        assert "LOWBIT_LEASE_SECONDS" in refused.stderr


def test_a_second_start_on_the_same_directory_is_refused(service: Service) -> None:
    refused = _run(folder=service.data_dir)
    assert refused.returncode == 1
    assert "in use by another" in refused.stderr
    with service.client() as http:
        assert http.get("/readyz").status_code == 200


def test_a_port_that_is_taken_is_refused_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, short_folder() as folder:
        refused = _run("--port", str(taken.getsockname()[1]), folder=folder)
    assert refused.returncode == 1
    assert "cannot bind" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_nothing_is_open_to_other_users(service: Service) -> None:
    """Started as root, the servers' user may pass through the directory, which it does not own; nobody else may."""
    of_root = os.geteuid() == 0
    directory = service.data_dir.stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid) == (0o710 if of_root else 0o700, os.geteuid())
    assert stat.S_IMODE((service.data_dir / "admin.key").stat().st_mode) == 0o600
    for path in service.data_dir.iterdir():
        if path.name not in {"state", "serve.err", "programs"}:  # the test's own, and copies of public programs
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_only_migrations_know_the_owners_password(service: Service) -> None:
    looks = seen(service.processes(), lambda process: str(process.environ()))
    assert len(looks) > 5
    for process, environment in looks:
        assert "lowbit_owner" not in environment, process


def test_only_loopback_is_listened_on(service: Service) -> None:
    processes = [psutil.Process(service.process.pid), *service.processes()]
    addresses = {
        connection.laddr.ip
        for _, connections in seen(processes, lambda process: process.net_connections(kind="inet"))
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's servers run as that user")
def test_the_servers_of_root_run_as_somebody_else(service: Service) -> None:
    looks = seen(service.processes(), lambda process: (Path(process.exe()).name, process.uids().real))
    servers = [(name, user) for _, (name, user) in looks if name in {"postgres", "valkey-server"}]
    assert {name for name, _ in servers} == {"postgres", "valkey-server"}
    assert all(user != 0 for _, user in servers)


def test_a_stop_leaves_no_process_and_no_socket_and_a_restart_finds_everything() -> None:
    """Each of the two signals once. That a job goes on after SIGTERM and a restart is told in `test_lost_workers`."""
    sent = tiny.npz_bytes(x=np.zeros((2, 2), np.float32))
    with short_folder() as folder:
        with running_service(folder) as first:
            with first.client() as http:
                made = http.post("/v1/files?purpose=dataset", content=sent).json()
            _stops_without_a_trace(first, signal.SIGINT)
        with running_service(folder) as second:
            with second.client() as http:
                assert http.get(made["links"]["content"]).content == sent
            _stops_without_a_trace(second, signal.SIGTERM)


def _stops_without_a_trace(service: Service, how: signal.Signals) -> None:
    tree = service.processes()
    assert len(tree) > 5
    assert service.stop(how) == 0
    assert not living(tree)
    assert [path for path in service.data_dir.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)] == []
    assert not (service.data_dir / "service.json").exists()


def test_a_stop_while_starting_leaves_nothing(tmp_path: Path) -> None:
    with short_folder() as folder:
        process = subprocess.Popen(serve_command(folder), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        parent = psutil.Process(process.pid)
        while not (folder / "postgres" / "postmaster.pid").exists():
            time.sleep(0.02)
        tree = parent.children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
        assert not living(tree)


def test_a_data_directory_with_a_long_path_works() -> None:
    with short_folder() as folder:
        deep = folder / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True)
        folder.chmod(0o755)
        service = start_service(deep)
        try:
            assert httpx2.get(f"{service.url}/readyz").status_code == 200
        finally:
            assert service.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_a_directory_that_the_servers_cannot_enter_is_refused_with_one_line() -> None:
    with short_folder() as closed:  # 0700 and root's
        refused = _run(folder=closed / "data")
    assert refused.returncode == 1
    assert "cannot enter" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_key_is_not_printed_where_no_person_reads(service: Service) -> None:
    words = (service.data_dir / "serve.err").read_text()
    assert service.url in words
    assert service.key not in words
