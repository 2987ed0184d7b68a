"""What only a worker finds out makes a `rejected` resource with the problem embedded; jobs that name it are refused."""

import io
import json
import zipfile
from typing import Any

import httpx2
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.e2e import tiny
from tests.e2e.conversation import finished, is_problem, job_body, leaks_nothing, resource
from tests.workers.ingestion.checkpoint.safetensors_bytes import file_of, tensor


@pytest.fixture(scope="module")
def sound(http: httpx2.Client) -> dict[str, str]:
    """A model and a data set that nothing is wrong with."""
    body = job_body(http)
    return {"models": body["model_id"], "datasets": body["calibration_dataset_id"]}


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


def _archive(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


BERT = {"model_type": "bert", "architectures": ["BertModel"]}
CODE = _archive({"config.json": json.dumps({**BERT, "auto_map": {"AutoModel": "modeling.Evil"}})})
ONE = '{"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}'
TWICE = _archive(
    {"config.json": json.dumps(BERT), "model.safetensors": file_of(f'{{"a": {ONE}, "a": {ONE}}}'.encode())}
)
ESCAPE = _archive({"model.onnx": tiny.model_bytes(), "../evil": b"x"})
PICKLED = _archive({"p/archive_format": "pt2", "p/models/m.json": "{}", "p/data/weights/m.pt": b"\x80\x04."})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (ESCAPE, "archive_path_traversal"),
        (CODE, "remote_code_not_allowed"),
        (TWICE, "safetensors_duplicate_key"),
        (PICKLED, "pt2_code_not_allowed"),
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
    http: httpx2.Client, sound: dict[str, str], content: bytes, code: str
) -> None:
    model = resource(http, content, "models")
    assert model["status"] == "rejected", model
    assert model["problem"]["code"] == code, model["problem"]
    assert model["problem"]["type"] == f"/problems/{code}"
    assert model["problem"]["detail"]
    assert model["problem"]["hint"]
    leaks_nothing(str(model))
    body = {"model_id": model["id"], "calibration_dataset_id": sound["datasets"]}
    found = is_problem(http.post("/v1/jobs", json=body), 422, "model_rejected")
    assert found["errors"][0]["pointer"] == "/model_id"


OBJECTS = np.array([{"a": 1}, None], dtype=object)


def _with_nan() -> Any:
    data = tiny.images(8)
    data[5, 0, 2, 2] = np.nan
    return data


def _without_end(**shapes: str) -> bytes:
    """Arrays of zeros of these shapes, as far as their headers say."""
    headers = {n: f"{{'descr': '<f4', 'fortran_order': False, 'shape': {s}, }}\n".encode() for n, s in shapes.items()}
    return _archive({f"{n}.npy": b"\x93NUMPY\1\0" + len(h).to_bytes(2, "little") + h for n, h in headers.items()})


HOLE = file_of({"image": tensor("U8", [1], 1, 2)}, b"xx")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (HOLE, "safetensors_invalid"),
        (b"PAR1" + b"\xff" * 100 + (96).to_bytes(4, "little") + b"PAR1", "parquet_invalid"),
        (b'{"a": 1}\n{"a": NaN}\n', "jsonl_invalid"),
        (b"a,b\n1,2\n3\n", "csv_invalid"),
        (_archive({"cat/1.png": b"\x89PNG\r\n\x1a\n cut off"}), "image_invalid"),
        (_without_end(image="(1000000, 1000000)"), "calibration_too_large"),
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
    http: httpx2.Client, sound: dict[str, str], content: bytes, code: str
) -> None:
    dataset = resource(http, content, "datasets")
    assert dataset["status"] == "rejected", dataset
    assert dataset["problem"]["code"] == code, dataset["problem"]
    assert dataset["problem"]["hint"]
    leaks_nothing(str(dataset))
    body = {"model_id": sound["models"], "calibration_dataset_id": dataset["id"]}
    found = is_problem(http.post("/v1/jobs", json=body), 422, "dataset_rejected")
    assert found["errors"][0]["pointer"] == "/calibration_dataset_id"


def _endless() -> bytes:
    """[batch, 1, 8, 8] `image` -> `scores`, after 2^62 rounds of a loop."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Neg", ["before"], ["after"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("before", TensorProto.FLOAT, None),
        ],
        [value("go_on", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Loop", ["rounds", "", "product"], ["scores"], body=body),
    ]
    made = tiny.load(tiny.model_bytes(nodes=nodes, weights={"w": np.ones((64, tiny.CLASSES))}))
    made.graph.initializer.append(numpy_helper.from_array(np.int64(1 << 62), "rounds"))
    return bytes(made.SerializeToString())


def _doubling() -> bytes:
    """A shape, joined with itself forty times: a runtime that follows its values would note 10^12 of them."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
        helper.make_node("Shape", ["w"], ["s0"]),
        *(helper.make_node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(40)),
    ]
    made = tiny.load(tiny.model_bytes(nodes=nodes, weights={"w": np.ones((64, tiny.CLASSES))}))
    made.graph.output.append(helper.make_tensor_value_info("s40", TensorProto.INT64, ["n"]))
    return bytes(made.SerializeToString())


def test_a_kilobyte_that_asks_for_all_memory_gets_what_a_kilobyte_may(http: httpx2.Client) -> None:
    model = resource(http, _doubling(), "models")
    assert (model["status"], model["problem"]["code"]) == ("rejected", "out_of_memory")
    assert "limit of 2048 MiB" in model["problem"]["detail"]
    assert model["problem"]["hint"]
    leaks_nothing(str(model))


def test_a_model_that_never_answers_is_stopped_by_the_jobs_deadline(http: httpx2.Client, sound: dict[str, str]) -> None:
    model = resource(http, _endless(), "models")
    assert model["status"] == "ready", model
    body = {"model_id": model["id"], "calibration_dataset_id": sound["datasets"], "deadline_seconds": 6}
    job = finished(http, http.post("/v1/jobs", json=body).json()["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "deadline_exceeded")
    assert job["error"]["stage"]  # so its process had begun


def test_the_service_still_works_after_all_that(http: httpx2.Client) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    assert model["status"] == "ready", model["problem"]
    assert model["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["batch", 1, 8, 8]}]
    assert model["op_counts"]["Conv"] == 2
    dataset = resource(http, tiny.evaluation_bytes(), "datasets")
    assert (dataset["status"], dataset["num_samples"], dataset["has_labels"]) == ("ready", 100, True)
    assert http.get("/readyz").json()["status"] == "ok"
