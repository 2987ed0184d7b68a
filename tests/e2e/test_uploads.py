"""Files on their way while things die: the client goes on, and what arrives is what was sent."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lowbit import Client, ProblemError
from lowbit.upload_memory import UploadMemory

from tests.e2e import tiny
from tests.faults.proxy import HEALTHY, Faults, running_proxy
from tests.servers.processes import running
from tests.servers.service import Service

MEBIBYTE = 1024**2
LOWBIT = str(Path(sys.executable).with_name("lowbit"))


@pytest.fixture
def client(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Client(service.url, service.key) as connected:
        yield connected


def padded_model(size: int) -> bytes:
    """A model that can be inspected, with a text of so many bytes behind it: protobuf merges what it reads twice."""
    model = tiny.load(tiny.model_bytes())
    model.doc_string = "x" * size
    return bytes(model.SerializeToString())


def file_of(tmp_path: Path, size: int, *, seed: int) -> Path:
    path = tmp_path / f"{seed}.onnx"
    path.write_bytes(tiny.model_bytes() + random.Random(seed).randbytes(size))
    return path


def _kill_api(service: Service) -> None:
    """The service is everybody's, but nobody else speaks to it now, and the API is soon back at its old address."""
    (api,) = running(service.processes(), "app.serve.api")
    api.kill()


def test_an_upload_outlives_a_killed_api_without_the_user_noticing(
    service: Service, client: Client, tmp_path: Path
) -> None:
    path = file_of(tmp_path, 36 * MEBIBYTE, seed=1)
    killed = threading.Event()

    def on_progress(_: Path, done: int, total: int) -> None:
        if done > total // 3 and not killed.is_set():
            killed.set()
            _kill_api(service)

    file = client.files.upload(path, "model", on_progress)
    assert killed.is_set()
    with service.client() as http:
        assert http.get(file["links"]["content"]).content == path.read_bytes()


class _Cut(Exception):
    """The client's process ends here, as far as the test is concerned."""


def test_a_client_that_was_cut_off_goes_on_where_it_stopped(service: Service, client: Client, tmp_path: Path) -> None:
    path = file_of(tmp_path, 65 * MEBIBYTE, seed=2)  # five parts, of which four are sent at a time
    there: list[int] = []
    with service.client() as http:

        def cut(_: Path, done: int, total: int) -> None:
            if done <= total // 2:
                return  # at first there is no note yet
            (note,) = UploadMemory()._folder.glob("*.json")
            upload = f"/v1/uploads/{json.loads(note.read_text())['upload_id']}"
            if http.get(upload).json()["received"]:
                raise _Cut

        with pytest.raises(_Cut):
            client.files.upload(path, "model", cut)
    assert client.files.upload(path, "model", lambda _, done, __: there.append(done))["bytes"] == path.stat().st_size
    assert there[1] >= 16 * MEBIBYTE  # counted before the first new byte is sent
    assert there[-1] == path.stat().st_size


def test_a_command_that_was_interrupted_goes_on_when_it_is_run_again(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "interrupted.onnx"
    path.write_bytes(padded_model(40 * MEBIBYTE))
    command = [LOWBIT, "models", "upload", str(path), "--format", "json"]
    notes = tmp_path / "state" / "lowbit" / "uploads"
    with running_proxy(service.url.removeprefix("http://")) as proxy:
        environment = service.environment() | {
            "LOWBIT_URL": f"http://{proxy.address}",
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        proxy.faults = Faults(black_hole_after_bytes=4 * MEBIBYTE)  # the upload is not over before the signal
        first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 180
        while not list(notes.glob("*.json")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        upload_id = json.loads(next(notes.glob("*.json")).read_text())["upload_id"]
        first.send_signal(signal.SIGINT)
        proxy.faults = Faults(resets=True)  # or its threads would wait for the silence to end
        _, words = first.communicate(timeout=180)
        assert (first.returncode, b"goes on with interrupted.onnx" in words) == (130, True), words
        proxy.faults = HEALTHY
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert second.returncode == 0, second.stderr
    model = json.loads(second.stdout)
    with service.client() as http:
        upload = http.get(f"/v1/uploads/{upload_id}").json()
    assert (upload["status"], upload["file"]["id"]) == ("completed", model["file_id"])
    assert not list(notes.glob("*.json"))


def test_a_refused_file_is_given_up_with_its_reason(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "pickle.onnx"
    path.write_bytes(b"\x80\x04" + bytes(9 * MEBIBYTE))
    with pytest.raises(ProblemError) as refused:
        client.files.upload(path, "model")
    assert refused.value.code == "model_format_not_supported"
    assert "pickle" in refused.value.detail
    assert not list(UploadMemory()._folder.glob("*"))


def test_what_is_there_is_not_sent_twice(client: Client, tmp_path: Path) -> None:
    path = file_of(tmp_path, 9 * MEBIBYTE, seed=3)
    first = client.files.upload(path, "model")
    os.utime(path)  # another file, as far as the memory of uploads goes
    steps: list[int] = []
    second = client.files.upload(path, "model", lambda _, done, __: steps.append(done))
    assert second["sha256"] == first["sha256"]
    assert steps == [0, path.stat().st_size]
