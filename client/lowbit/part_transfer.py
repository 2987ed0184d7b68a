"""Sends the parts of a file, several at once, each again until it has arrived."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from lowbit.errors import AuthenticationProblem, LowbitError, NoConnection
from lowbit.uploads import URLS_AT_ONCE, PartUrl, Upload, Uploads, patiently
from lowbit.wire import Call

THREADS = 4
CHUNK_BYTES = 1 << 20


class Stopped(Exception):
    """Another part failed for good, or the user pressed Ctrl-C."""


class PartTransfer:
    """One run of sending what is missing. `on_bytes` gets the change of what has been sent, from any thread."""

    def __init__(
        self,
        uploads: Uploads,
        upload: Upload,
        path: Path,
        *,
        on_bytes: Callable[[int], None],
        known_urls: Sequence[PartUrl] = (),
    ) -> None:
        self._uploads = uploads
        self._upload = upload
        self._path = path
        self._on_bytes = on_bytes
        self._urls = {part["number"]: part for part in known_urls}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def send(self, numbers: Sequence[int]) -> dict[int, str]:
        """The etags of the parts, by number. What has arrived stays there, whatever is raised."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="upload") as pool:
            sending = {number: pool.submit(self._send_part, number) for number in numbers}
            try:
                done, _ = wait(sending.values(), return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:  # Ctrl-C comes here too; leaving the pool waits for its threads
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        return {number: future.result() for number, future in sending.items()}

    def _send_part(self, number: int) -> str:
        return patiently(lambda: self._try_part(number), pause=self._pause)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped

    def _try_part(self, number: int) -> str:
        start = (number - 1) * self._upload["part_bytes"]
        octets = _Octets(self._path, start, min(self._upload["part_bytes"], self._upload["bytes"] - start))
        url = self._url(number)
        try:
            return self._put(url, octets)
        except BaseException as error:
            self._on_bytes(-octets.given)
            with self._lock:
                self._urls.pop(number, None)
            if isinstance(error, AuthenticationProblem) and not url["url"].startswith("/"):
                raise NoConnection(f"The address of part {number} is not valid any more.") from error
            raise

    def _put(self, url: PartUrl, octets: "_Octets") -> str:
        headers = {"Content-Length": str(octets.bytes), "Content-Type": "application/octet-stream", **url["headers"]}
        with self._uploads.wire.open(Call("PUT", url["url"], headers=headers, content=self._told(octets))) as response:
            response.read()
            return str(response.headers["ETag"]).strip('"')

    def _told(self, octets: "_Octets") -> Iterator[bytes]:
        for chunk in octets:
            if self._stop.is_set():
                raise Stopped
            yield chunk
            octets.given += len(chunk)
            self._on_bytes(len(chunk))

    def _url(self, number: int) -> PartUrl:
        with self._lock:
            if number not in self._urls:
                last = min(self._upload["part_count"], number + URLS_AT_ONCE - 1)
                fresh = self._uploads.part_urls(self._upload["id"], list(range(number, last + 1)))
                self._urls |= {part["number"]: part for part in fresh}
            return self._urls[number]


class _Octets:
    """A piece of a file, read as it is sent."""

    def __init__(self, path: Path, start: int, length: int) -> None:
        self._path = path
        self._start = start
        self.bytes = length
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._start)
            left = self.bytes
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise LowbitError(f"{self._path} became shorter while it was sent")
                yield chunk
                left -= len(chunk)
