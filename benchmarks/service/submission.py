"""From a submitted job to a running one, by the database's clock: `created_at` to `started_at`."""

import io
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from lowbit import Client
from lowbit.request import job_request
from onnx import TensorProto, helper

from benchmarks.service.embedded import Embedded

SUBMISSIONS = 50


def submit_to_running_ms(service: Embedded, submissions: int = SUBMISSIONS) -> list[float]:
    """One job at a time on an idle service; each is cancelled once it runs."""
    waits = []
    with service.client() as client:
        model_id, dataset_id = prepared(client)
        for _ in range(submissions):
            job = client.jobs.create(job_request(model_id, dataset_id, None, {}))
            while job.data["started_at"] is None:
                job = client.jobs.get(job.id)
            waits.append(_milliseconds(job.data["created_at"], job.data["started_at"]))
            job.cancel()
            _until(lambda: client.jobs.get(job.id).done)  # noqa: B023  called within the round
    return waits


def prepared(client: Client) -> tuple[str, str]:
    """A model and a data set that are ready for jobs."""
    with tempfile.TemporaryDirectory() as folder:
        model, data = Path(folder, "model.onnx"), Path(folder, "data.npz")
        onnx.save_model(_model(), model)
        data.write_bytes(_samples())
        return client.models.upload(model)["id"], client.datasets.upload(data)["id"]


def _model() -> onnx.ModelProto:
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one_layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _samples() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng(1).standard_normal((256, 64)).astype(np.float32))
    return file.getvalue()


def _milliseconds(earlier: Any, later: Any) -> float:  # noqa: ANN401  texts of the API
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds() * 1000


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.05)
