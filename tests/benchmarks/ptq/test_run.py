"""The benchmark at its smallest: a network that was never trained, a few rows, without NNCF."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.material import preprocess
from benchmarks.ptq.plan import CONTENDERS, Contender, Plan
from benchmarks.ptq.run import measure
from benchmarks.ptq.skewed_cnn import export, skew, untrained, without_batch_norm

LOWBIT, ONNXRUNTIME = "benchmarks.ptq.with_lowbit", "benchmarks.ptq.with_onnxruntime"

TINY = Plan(
    contenders={
        "cnn_skewed": {
            "lowbit_plain": CONTENDERS["cnn_skewed"]["lowbit_plain"],
            "ort_dynamic": Contender(ONNXRUNTIME),
            "ort_static": Contender(ONNXRUNTIME, model="peer.onnx", samples=2),
        }
    },
    calibrated="cnn_skewed",
    counts=(2, 4),
    smallest_count=1,
    rounds=1,
    threads=1,
    batch_sizes=(1, 3),
    stretches=1,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "cnn_skewed"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = without_batch_norm(untrained().eval())
    skew(network)
    export(network, folder / "model.onnx")
    preprocess(folder / "model.onnx", folder / "peer.onnx")
    rng = np.random.default_rng(0)
    images = rng.random((10, 1, 28, 28), np.float32)
    np.savez(folder / "calibration.npz", image=images[:4])
    np.savez(folder / "evaluation.npz", image=images[4:], labels=rng.integers(0, 10, 6))
    return folder.parent


def test_a_tiny_run_gives_every_figure(tmp_path: Path, home: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    stored = measure(TINY, home, work, peers=Path(sys.executable)).stored()
    assert {"date", "cpu", "threads", "onnxruntime", "lowbit-server"} <= set(stored["conditions"])
    cost = stored["calibration"]
    assert all(ratio > 0 for ratio in cost["wall_ratio_to_ort_minmax"].values())
    assert set(cost["wall_ratio_to_ort_minmax"]) == {"2", "4"}
    assert abs(cost["rss_growth_mb_1_to_4"]) < 100
    assert cost["range_search_ms_per_tensor"] > 0
    models = stored["cnn_skewed_per_tensor"]
    assert set(models) == {"float", "lowbit_plain", "ort_dynamic", "ort_static"}
    assert models["float"]["sqnr_db"] is None
    assert models["float"]["speedup_b1"] == models["float"]["speedup_b3"] == 1.0
    for name, figures in models.items():
        assert 0 <= figures["accuracy"] <= 1
        assert 0 <= figures["agreement"] <= 1
        assert figures["speedup_b3"] > 0
        # bytes for weights of four bytes, and what the graph itself takes
        assert name == "float" or figures["size_mb"] < models["float"]["size_mb"]
