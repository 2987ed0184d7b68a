"""What is taken for the content of a model."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.fingerprints.unstamped import STAMP_PREFIX, content_of, unstamped
from workers.targets import stamp

WEIGHT = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)


def model_bytes(weight=WEIGHT, **metadata: str) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def one_bit_off():
    bits = WEIGHT.copy().view(np.uint32)
    bits[1, 1] ^= 1
    return bits.view(np.float32)


def test_the_prefix_is_the_services() -> None:
    assert STAMP_PREFIX == stamp.STAMP_PREFIX


def test_models_that_differ_in_their_stamp_alone_have_one_content() -> None:
    one = model_bytes(**{"lowbit.job_id": "job_1", "author": "me"})
    other = model_bytes(**{"lowbit.job_id": "job_22", "lowbit.recipe_sha256": "00", "author": "me"})
    assert one != other
    assert unstamped(one) == unstamped(other) == model_bytes(author="me")


def test_what_others_wrote_counts() -> None:
    assert unstamped(model_bytes(author="me")) != unstamped(model_bytes(author="you"))
    # the prefix ends in a dot: this key is somebody else's
    assert unstamped(model_bytes(lowbitten="1")) != unstamped(model_bytes())


def test_one_bit_of_one_weight_counts() -> None:
    assert unstamped(model_bytes(one_bit_off())) != unstamped(model_bytes())


def test_a_file_of_weights_counts_byte_for_byte(tmp_path: Path) -> None:
    stamped = model_bytes(**{"lowbit.job_id": "job_1"})
    path = tmp_path / "model.onnx.data"
    path.write_bytes(stamped)
    assert content_of(path, kind="model_data").bytes == len(stamped)
    found = content_of(path, kind="model")
    assert found.bytes == len(model_bytes())
    assert found == content_of(_written(tmp_path / "plain.onnx", model_bytes()), kind="model")


def test_a_stripped_model_is_still_that_model() -> None:
    model = onnx.ModelProto.FromString(unstamped(model_bytes(**{"lowbit.job_id": "job_1"})))
    onnx.checker.check_model(model)
    assert not model.metadata_props


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
