"""What only a worker finds out makes a `rejected` resource with the problem embedded; jobs that name it are refused."""

from typing import Any

import httpx2
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.e2e import tiny
from tests.e2e.conversation import is_problem, job_body, leaks_nothing, resource


def _external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _nan(model: ModelProto) -> None:
    weights = np.frombuffer(model.graph.initializer[0].raw_data, dtype=np.float32).copy()
    weights[0] = np.nan
    model.graph.initializer[0].raw_data = weights.tobytes()


def _custom(model: ModelProto) -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = "PyOp", "ai.onnx.contrib"
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))


def _dangling(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "no_such_tensor"


def _short(model: ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (tiny.model_bytes()[:-700], "onnx_parse_error"),
        (b"\x08\x09" + b"garbage" * 50, "onnx_parse_error"),
        (tiny.model_bytes(edits=[_external]), "onnx_external_data_escape"),
        (tiny.model_bytes(edits=[_custom]), "onnx_operator_not_allowed"),
        (tiny.model_bytes(edits=[_dangling]), "onnx_invalid"),
        (tiny.model_bytes(edits=[_short]), "onnx_invalid"),
        (tiny.model_bytes(edits=[_nan]), "nonfinite_weights"),
        (tiny.model_bytes(opset=999), "onnx_opset_unsupported"),
        (tiny.model_bytes(opset=1), "onnx_opset_unsupported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_that_cannot_be_used_is_rejected_with_the_reason(
    http: httpx2.Client, content: bytes, code: str
) -> None:
    model = resource(http, content, "models")
    assert model["status"] == "rejected", model
    assert model["problem"]["code"] == code, model["problem"]
    assert model["problem"]["detail"]
    leaks_nothing(str(model))
    body = job_body(http, model_id=model["id"])
    found = is_problem(http.post("/v1/jobs", json=body), 422, "model_rejected")
    assert found["errors"][0]["pointer"] == "/model_id"


OBJECTS = np.array([{"a": 1}, None], dtype=object)


def _with_nan() -> Any:
    data = tiny.images(8)
    data[5, 0, 2, 2] = np.nan
    return data


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (tiny.npz_bytes(image=OBJECTS), "npz_pickle_not_allowed"),
        (tiny.npz_bytes(image=_with_nan()), "calibration_nonfinite"),
        (tiny.npz_bytes(image=tiny.images(8) * np.inf), "calibration_nonfinite"),
        (tiny.npz_bytes(image=tiny.images(0)), "calibration_empty"),
        (tiny.npz_bytes(image=tiny.images(8), labels=np.zeros(7, dtype=int)), "labels_length_mismatch"),
        (tiny.npz_bytes(image=tiny.images(8), labels=np.full(8, -1)), "labels_invalid"),
        (tiny.npz_bytes(image=tiny.images(8), labels=np.full(8, 0.5)), "labels_invalid"),
        (tiny.npz_bytes(image=np.asfortranarray(tiny.images(8))), "npz_fortran_order"),
        (tiny.npz_bytes(image=tiny.images(64))[:-300], "npz_invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_data_set_that_cannot_be_used_is_rejected_with_the_reason(
    http: httpx2.Client, content: bytes, code: str
) -> None:
    dataset = resource(http, content, "datasets")
    assert dataset["status"] == "rejected", dataset
    assert dataset["problem"]["code"] == code, dataset["problem"]
    leaks_nothing(str(dataset))


def test_a_job_on_a_rejected_data_set_is_refused(http: httpx2.Client) -> None:
    dataset = resource(http, tiny.npz_bytes(image=_with_nan()), "datasets")
    body = job_body(http, calibration_dataset_id=dataset["id"])
    found = is_problem(http.post("/v1/jobs", json=body), 422, "dataset_rejected")
    assert found["errors"][0]["pointer"] == "/calibration_dataset_id"


def test_the_service_still_works_after_all_that(http: httpx2.Client) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    assert model["status"] == "ready"
    assert model["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["batch", 1, 8, 8]}]
    assert model["op_counts"]["Conv"] == 2
    dataset = resource(http, tiny.evaluation_bytes(), "datasets")
    assert (dataset["status"], dataset["num_samples"], dataset["has_labels"]) == ("ready", 100, True)
    assert http.get("/readyz").json()["status"] == "ok"
