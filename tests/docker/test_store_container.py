"""The S3 store's start script, run with the real SeaweedFS: what the containers get is what is tried here."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage import ObjectStore, StoreUnavailable, store_from_url
from tests.docker.compose import COMPOSE, ROOT, complete_environment, services
from tests.servers.seaweedfs import STARTUP_SECONDS, free_ports

SCRIPT = ROOT / "docker" / "seaweedfs-start.sh"
KEYS = {"LOWBIT_S3_ACCESS_KEY_ID": "theKey", "LOWBIT_S3_SECRET_ACCESS_KEY": "theSecret"}


def environment(directory: Path, **changed: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "TMPDIR": str(directory), "DATA_DIR": str(directory), **KEYS, **changed}


@pytest.fixture(scope="module")
def endpoint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("store")
    master, volume, filer, s3 = free_ports(4)
    elsewhere = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    sockets = [f"-filer.localSocket={directory}/filer.sock", f"-s3.localSocket={directory}/s3.sock"]
    with (directory / "log").open("wb") as log:
        command = ["sh", str(SCRIPT), "-s3.ip.bind=127.0.0.1", *elsewhere, *sockets]
        server = subprocess.Popen(command, env=environment(directory), stdout=log, stderr=log)
        yield f"http://127.0.0.1:{s3}"
        server.kill()
        server.wait()


def reach(endpoint_url: str, secret: str = "theSecret", bucket: str = "s3://lowbit") -> ObjectStore:
    """The address from the compose file, but for the host; its bucket unless another is asked for."""
    url = services(COMPOSE, complete_environment())["api"]["environment"]["LOWBIT_STORAGE_URL"]
    assert "http://s3:8333" in url
    url = url.replace("http://s3:8333", endpoint_url).replace("s3://lowbit", bucket)
    return store_from_url(url, s3_access_key_id="theKey", s3_secret_access_key=secret)


def eventually(endpoint_url: str) -> ObjectStore:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            return reach(endpoint_url)
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_the_service_can_store_and_a_stranger_cannot(endpoint_url: str, tmp_path: Path) -> None:
    store = eventually(endpoint_url)
    store.check()
    path = tmp_path / "file"
    path.write_bytes(bytes(9 * 1024 * 1024))  # more than one part
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    store.put_file(path, tenant_id="tenant", sha256=digest)
    store.download(tmp_path / "copy", tenant_id="tenant", sha256=digest)
    store.delete(tenant_id="tenant", sha256=digest)
    with pytest.raises(StoreUnavailable):
        reach(endpoint_url, secret="wrong")
    with pytest.raises(StoreUnavailable):
        reach(endpoint_url, bucket="s3://other")


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", ["", 'a"b', "a\nb"])
def test_a_key_that_would_break_the_configuration_is_refused(tmp_path: Path, name: str, value: str) -> None:
    answer = subprocess.run(
        ["sh", SCRIPT], env=environment(tmp_path, **{name: value}), capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0
    assert name in answer.stderr
    assert list(tmp_path.iterdir()) == []
