"""An upload whose client costs next to nothing: the kernel moves the parts from the file into the sockets."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from lowbit.uploads import Upload, Uploads

from benchmarks.service.embedded import Embedded

CONNECTIONS = 4
"""As many as the Python client opens."""
PATIENCE_SECONDS = 120.0


def upload(service: Embedded, uploads: Uploads, path: Path, sha256: str) -> Upload:
    """From the first request to the answer of the last: all parts are durable, and the upload is completed."""
    begun = uploads.create(path.name, path.stat().st_size, "dataset", sha256)
    if begun["status"] != "pending":
        raise RuntimeError(f"the upload is {begun['status']}: the service must not have the file yet")
    etags = _Sender(service, begun, path).send()
    parts: list[dict[str, object]] = [{"number": number, "etag": etags[number]} for number in sorted(etags)]
    return uploads.complete(begun["id"], parts, sha256)


class _Sender:
    def __init__(self, service: Embedded, upload: Upload, path: Path) -> None:
        self._service = service
        self._upload = upload
        self._path = path
        self._left = iter(range(1, upload["part_count"] + 1))
        self._lock = threading.Lock()
        self._etags: dict[int, str] = {}

    def send(self) -> dict[int, str]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for sending in [pool.submit(self._send_some) for _ in range(CONNECTIONS)]:
                sending.result()
        return self._etags

    def _send_some(self) -> None:
        address = urlsplit(self._service.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_SECONDS)
        while (number := self._next()) is not None:
            self._etags[number] = self._put(connection, number)
        connection.close()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def _put(self, connection: HTTPConnection, number: int) -> str:
        start = (number - 1) * self._upload["part_bytes"]
        length = min(self._upload["part_bytes"], self._upload["bytes"] - start)
        connection.putrequest("PUT", f"/v1/uploads/{self._upload['id']}/parts/{number}")
        connection.putheader("Authorization", f"Bearer {self._service.key}")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        with self._path.open("rb", buffering=0) as file:
            connection.sock.sendfile(file, start, length)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"part {number} was refused: {answer.decode(errors='replace')}")
        return str(response.getheader("ETag")).strip('"')
