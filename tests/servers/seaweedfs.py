"""A private SeaweedFS for tests: one real S3 server on loopback, gone when the block ends."""

import json
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

STARTUP_SECONDS = 240  # 4-12 s alone; far more next to other tests on two cores
GRPC_OFFSET = 10_000  # every HTTP port of SeaweedFS has a gRPC twin this far above it


@dataclass(frozen=True)
class S3Address:
    endpoint_url: str
    access_key: str
    secret_key: str

    def client(self) -> "S3Client":
        """A plain client that does not retry, for looking behind the store's back."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=20),
        )


@dataclass
class Seaweed:
    """A server on a directory and ports of its own, which a test may kill and start again with what it stored."""

    directory: Path
    address: S3Address
    ports: list[int]
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def below(cls, directory: Path) -> "Seaweed":
        ports = free_ports(4)
        address = S3Address(f"http://127.0.0.1:{ports[-1]}", secrets.token_hex(10), secrets.token_hex(20))
        return cls(directory, address, ports)

    def start(self) -> None:
        with self._log.open("ab") as output:
            command = _command(self.directory, self.ports, _identities(self.directory, self.address))
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def wait_until_it_stores(self) -> None:
        assert self.process is not None
        _wait_until_it_stores(self.process, self.address, self._log)

    def kill(self) -> None:
        """Asked politely it waits 15 s for a stream to itself, and there is nothing to keep."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def _log(self) -> Path:
        return self.directory / "weed.log"


@contextmanager
def running_seaweedfs(directory: Path) -> Iterator[S3Address]:
    """Start a server that keeps everything below `directory`; yield its address once it stores objects."""
    server = Seaweed.below(directory)
    server.start()
    try:
        server.wait_until_it_stores()
        yield server.address
    finally:
        server.kill()


def free_ports(count: int) -> list[int]:
    """Ports whose gRPC twins are free too, below the range that the system hands out to clients by itself."""
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.randrange(20_000, 22_000)
        if port not in chosen and _is_free(port) and _is_free(port + GRPC_OFFSET):
            chosen.append(port)
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _identities(directory: Path, address: S3Address) -> Path:
    config = directory / "identities.json"
    credentials = {"accessKey": address.access_key, "secretKey": address.secret_key}
    config.write_text(
        json.dumps({"identities": [{"name": "test", "credentials": [credentials], "actions": ["Admin"]}]})
    )
    return config


def _command(directory: Path, ports: list[int], identities: Path) -> list[str]:
    master, volume, filer, s3 = ports
    return [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={directory}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        "-master.telemetry=false",  # on by default: it reports to the makers
        "-master.volumeSizeLimitMB=512",
        f"-volume.port={volume}",
        "-volume.max=60",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.localSocket={directory}/filer.sock",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.config={identities}",
        f"-s3.localSocket={directory}/s3.sock",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


def _wait_until_it_stores(server: "subprocess.Popen[bytes]", address: S3Address, log: Path) -> None:
    """The port answers long before a volume exists to write to, so only a stored object counts."""
    client = address.client()
    deadline = time.monotonic() + STARTUP_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(BotoCoreError, ClientError):
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            client.close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-4000:]}")
