"""Small jobs, done in this process, and models for them that look like what people upload."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from workers.pipeline.__main__ import attempt
from workers.protocol.gathering import graph_wish
from workers.protocol.outcome import Finished, Outcome, Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu
from workers.targets.preparation import Prepared

n = helper.make_node

VOCABULARY, WIDTH, CLASSES = 50, 32, 5


def done(folder: Path, model: onnx.ModelProto, calibration: Any, evaluation: Any = None, **recipe: Any) -> Outcome:
    """The outcome of a job. recipe: `preset`, and what to change in it."""
    chosen = PRESETS[recipe.pop("preset", "int8-fast")].model_copy(update=recipe)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "calibration.npz", **calibration)
    np.savez(folder / "evaluation.npz", **(calibration if evaluation is None else evaluation))
    wanted = QuantizeTask(
        model="model.onnx", calibration="calibration.npz", evaluation="evaluation.npz", model_name="m",
        target="onnxruntime-cpu", recipe=chosen, objective=Objective(),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1,
    )  # fmt: skip
    return attempt(wanted, folder, Reporter(io.StringIO()))


def prepared_for(model: onnx.ModelProto, recipe: Any) -> Prepared:
    """As a job with this recipe would prepare it."""
    target = OnnxRuntimeCpu()
    return target.prepare(model, None, graph_wish(recipe), target.schemes(per_channel=recipe.per_channel))


def quantized(folder: Path, model: onnx.ModelProto, calibration: Any, evaluation: Any = None, **recipe: Any) -> Any:
    """The result of a job that must succeed."""
    outcome = done(folder, model, calibration, evaluation, **recipe)
    assert isinstance(outcome, Finished), outcome
    assert isinstance(outcome.ok, Quantized)
    return outcome.ok.outcome


def attention(tokens: int | str = "t") -> onnx.ModelProto:
    """Ids and a mask of [n, t] -> one masked attention layer, LayerNormalization, mean over real tokens -> [n, 5]."""
    rng = np.random.default_rng(0)
    shapes = {
        "table": (VOCABULARY, WIDTH), "wq": (WIDTH, WIDTH), "wk": (WIDTH, WIDTH), "wv": (WIDTH, WIDTH),
        "bv": (WIDTH,), "head": (CLASSES, WIDTH), "bias": (CLASSES,),
    }  # fmt: skip
    weights = {k: (rng.normal(size=s) * 0.3).astype(np.float32) for k, s in shapes.items()}
    weights |= {"gamma": np.linspace(0.5, 1.5, WIDTH, dtype=np.float32), "beta": np.zeros(WIDTH, np.float32)}
    weights |= {"one": np.float32(1.0), "far": np.float32(-1e4)}
    axes = {"middle": np.array([1]), "last": np.array([2])}
    nodes = [
        n("Gather", ["table", "input_ids"], ["e"], name="embed"),
        n("Cast", ["attention_mask"], ["m"], name="cast", to=TensorProto.FLOAT),
        *(n("MatMul", ["e", f"w{p}"], [p], name=f"{p}_proj") for p in "qkv"),
        n("Add", ["v", "bv"], ["vb"], name="v_bias"),
        n("Transpose", ["k"], ["kt"], name="turn", perm=[0, 2, 1]),
        n("MatMul", ["q", "kt"], ["s"], name="scores"),
        n("Sub", ["one", "m"], ["left_out"], name="invert"),
        n("Mul", ["left_out", "far"], ["far_off"], name="penalty"),
        n("Unsqueeze", ["far_off", "middle"], ["per_key"], name="per_key"),
        n("Add", ["s", "per_key"], ["sm"], name="mask"),
        n("Softmax", ["sm"], ["a"], name="softmax", axis=-1),
        n("MatMul", ["a", "vb"], ["c"], name="mix"),
        n("Add", ["c", "e"], ["r"], name="residual"),
        n("LayerNormalization", ["r", "gamma", "beta"], ["h"], name="norm"),
        n("Unsqueeze", ["m", "last"], ["m3"], name="per_token"),
        n("Mul", ["h", "m3"], ["hm"], name="real_only"),
        n("ReduceSum", ["hm", "middle"], ["sum"], name="sum", keepdims=0),
        n("ReduceSum", ["m", "middle"], ["count"], name="count", keepdims=1),
        n("Max", ["count", "one"], ["some"], name="at_least_one"),
        n("Div", ["sum", "some"], ["mean"], name="mean"),
        n("Gemm", ["mean", "head", "bias"], ["y"], name="classify", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info(i, TensorProto.INT64, ["n", tokens]) for i in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(np.asarray(a), k) for k, a in {**weights, **axes}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def sentences(samples: int, tokens: int = 12, *, longest: int | None = None, seed: int = 0) -> Any:
    """Random ids with padding behind them: at least one real token each, at most `longest`."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, (longest or tokens) + 1, samples)
    mask = (np.arange(tokens) < lengths[:, np.newaxis]).astype(np.int64)
    return {"input_ids": rng.integers(1, VOCABULARY, (samples, tokens)) * mask, "attention_mask": mask}
