"""Small models made up from a number: every one is valid, answers finite numbers, and is put together as exporters do.

What varies: kinds of input, operators and their attributes, opsets from 9 on, where weights come from (initializers,
Constant nodes, half precision behind a Cast, transposed, scaled, shared, tables that embed and predict), outputs of
which some are one value, branches that read values and weights of the graph around them, and names.
"""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from tests.workers.generated.builder import BATCH, SAMPLES, Builder, Generated, Value
from tests.workers.generated.ends import branched, flattened
from tests.workers.generated.images import image_step
from tests.workers.generated.sequences import linear, sequence_step, vector_step

OPSETS = (9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)

ODD_NAMES = ("/encoder/layer.0/", "a b", "x:0", "naïve", "_quantized", "w_scale", "1")


def generated(seed: int) -> Generated:
    """The same model for the same number."""
    for attempt in range(20):
        rng = np.random.default_rng([seed, attempt])
        built = _built(rng)
        if _answers_well(built):
            return built
    raise AssertionError(f"nothing valid comes of {seed}")


def _built(rng: np.random.Generator) -> Generated:
    b = Builder(rng, int(rng.choice(OPSETS)))
    if b.chance(0.25):
        b.prefix = b.pick(*ODD_NAMES)
    kind = b.pick("image", "image", "sequence", "vector", "tokens")
    x = _begin(b, kind)
    b.values.append(x)
    for _ in range(int(rng.integers(2, 8))):
        x = (vector_step, sequence_step, image_step)[len(x.shape) - 1](b, x)
        b.values.append(x)
    if b.chance(0.3):
        b.give_out(x)
    if len(x.shape) == 1 and b.chance(0.3):
        x = branched(b, x)
        b.nodes[-1].name = f"{b.prefix}if"
    is_predicted = kind == "tokens" and len(x.shape) == 2 and b.chance(0.6)
    x = _predicted(b, x) if is_predicted else linear(b, flattened(b, x), 5)
    if b.chance(0.2):
        b.give_out(x)
        x = b.node("Identity", [x], x.shape)
    b.give_out(x)
    return Generated(_model(b), b.data)


def _begin(b: Builder, kind: str) -> Value:
    match kind:
        case "image":
            return b.input(int(b.pick(3, 4)), 8, int(b.pick(8, 10)))
        case "sequence":
            return b.input(int(b.pick(5, 7)), int(b.pick(8, 12)))
        case "vector":
            return b.input(int(b.pick(8, 12, 16)))
        case _:
            name = f"{b.prefix}ids"
            b.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, [BATCH, 6]))
            b.data[name] = b.rng.integers(0, 160, (SAMPLES, 6))
            table = b.rng.normal(size=(160, 8)).astype(np.float32)
            b.weights[160, 8] = [b.stored(table)]
            return b.node("Gather", [b.weights[160, 8][0], name], (6, 8), axis=0)  # type: ignore[no-any-return]


def _predicted(b: Builder, x: Value) -> Value:
    """The table that embeds is the output layer too."""
    x = linear(b, x, 8)
    turned = b.node("Transpose", [b.weights[160, 8][0]], perm=[1, 0])
    return b.node("MatMul", [x, turned], (x.shape[0], 160))  # type: ignore[no-any-return]


def _model(b: Builder) -> onnx.ModelProto:
    graph = helper.make_graph(b.nodes, "generated", b.inputs, b.outputs, b.initializers)
    ir_version = 10 if b.opset >= 21 else 9 if b.opset >= 19 else 8
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", b.opset)], ir_version=ir_version)


def _answers_well(built: Generated) -> bool:
    """Valid, and of finite answers that differ from sample to sample."""
    try:
        onnx.checker.check_model(built.model, full_check=True)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        outputs = ort.InferenceSession(built.model.SerializeToString(), options).run(None, built.data)
    except Exception:  # noqa: BLE001  another one is made then
        return False
    return all(np.isfinite(y).all() and y.std() > 1e-3 and np.abs(y).max() < 1e4 for y in outputs)
