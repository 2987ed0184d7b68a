"""One file sent in parts, from the first byte or from where an earlier run stopped, to the verified file."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lowbit.errors import LowbitError, NotFound, ProblemError, error_for
from lowbit.file_digest import FileDigest
from lowbit.part_transfer import PartTransfer
from lowbit.problem import Problem
from lowbit.resources import File, Purpose
from lowbit.upload_memory import Sent, UploadMemory
from lowbit.uploads import PartUrl, Upload, UploadProgress, Uploads, worth_repeating

UploadProgressCallback = Callable[[Path, int, int], None]

DIGEST_FIRST_BYTES = 64 << 20
"""Up to here the digest is worked out first: it takes a moment, and a file that is there already is not sent again."""


class ResumableUpload:
    def __init__(
        self,
        uploads: Uploads,
        path: Path,
        purpose: Purpose,
        on_progress: UploadProgressCallback | None = None,
        *,
        sha256: str | None = None,
        memory: UploadMemory | None = None,
    ) -> None:
        self._uploads = uploads
        self._path = path
        self._purpose: Purpose = purpose
        self._tell = on_progress or (lambda *_: None)
        self._memory = memory or UploadMemory()
        self._sha256 = sha256
        self._found = Sent.of(uploads.wire.url, path, purpose)
        # what has a known digest is the same upload wherever it lies
        self._sent = self._found if sha256 is None else self._found._replace(path=Path(sha256), changed_ns=0)
        self._bytes_there = 0
        self._lock = threading.Lock()

    def run(self, resume: str | None = None) -> File:
        """Send what is missing and wait for the verdict. After any error, and after Ctrl-C, another run goes on.

        Raises:
            ProblemError: the service refused the file; the upload is given up.
            NoConnection: the service was away for longer than our patience.

        """
        self._count(0)
        with FileDigest(self._path, known=self._sha256) as digest:
            upload, urls = self._resumed(resume) or self._begun(digest)
            if upload["status"] == "pending":
                parts = self._send_missing(self._uploads.get(upload["id"]), urls)
                self._require_unchanged()
                self._uploads.complete(upload["id"], parts, digest.result())
            return self._concluded(self._uploads.verified(upload["id"]))

    def _resumed(self, resume: str | None) -> tuple[Upload, Sequence[PartUrl]] | None:
        """An upload of an earlier run that can go on."""
        upload_id = resume or self._memory.recall(self._sent)
        if upload_id is None:
            return None
        try:
            upload = self._uploads.get(upload_id)
        except NotFound:
            if resume is not None:
                raise
            return None
        if resume is None:
            return (upload, ()) if self._can_go_on(upload) else None
        if upload["bytes"] != self._sent.bytes or not self._can_go_on(upload):
            raise LowbitError(f"{resume} cannot go on with {self._path}: it is {upload['status']}, and has other bytes")
        return upload, ()

    def _can_go_on(self, upload: Upload) -> bool:
        if upload["bytes"] != self._sent.bytes:
            return False
        return upload["status"] in {"pending", "verifying"} or upload["file"] is not None

    def _begun(self, digest: FileDigest) -> tuple[Upload, Sequence[PartUrl]]:
        known = digest.result() if self._sha256 or self._sent.bytes <= DIGEST_FIRST_BYTES else None
        upload = self._uploads.create(self._path.name, self._sent.bytes, self._purpose, known)
        self._memory.keep(self._sent, upload["id"])
        return upload, upload["parts"]

    def _send_missing(self, upload: UploadProgress, urls: Sequence[PartUrl]) -> list[dict[str, object]]:
        received = {part["number"]: part["etag"] for part in upload["received"]}
        self._count(sum(part["bytes"] for part in upload["received"]))
        transfer = PartTransfer(self._uploads, upload, self._path, on_bytes=self._count, known_urls=urls)
        try:
            etags = received | transfer.send(upload["missing"])
        except ProblemError as error:
            if not worth_repeating(error):
                self._give_up(upload["id"])
            raise
        return [{"number": number, "etag": etags[number]} for number in sorted(etags)]

    def _count(self, more_bytes: int) -> None:
        with self._lock:  # callbacks need not be ready for several threads
            self._bytes_there += more_bytes
            self._tell(self._path, self._bytes_there, self._sent.bytes)

    def _require_unchanged(self) -> None:
        if Sent.of(self._sent.service, self._path, self._sent.purpose) != self._found:
            self._memory.forget(self._sent)
            raise LowbitError(f"{self._path} was changed while it was sent; send it again")

    def _concluded(self, upload: Upload) -> File:
        self._memory.forget(self._sent)
        if upload["file"] is not None:
            self._tell(self._path, self._sent.bytes, self._sent.bytes)
            return upload["file"]
        why = upload["problem"] or {"title": f"The upload is {upload['status']}"}
        raise error_for(Problem.parse(why, status=409))

    def _give_up(self, upload_id: str) -> None:
        self._memory.forget(self._sent)
        with suppress(LowbitError):
            self._uploads.abort(upload_id)
