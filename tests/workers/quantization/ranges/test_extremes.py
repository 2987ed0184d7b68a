from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization.calibrate import CalibrationDataReader, MinMaxCalibrater

from tests.workers.quantization.small_models import residual_cnn
from workers.quantization.observers import ChannelObserver, FloatBitsObserver, MovingAverageObserver
from workers.quantization.ranges import channel_ranges, min_max_range


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Any) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Any:
        return next(self.feeds, None)


def test_min_max_is_onnxruntimes_minmax_calibrater(tmp_path: Path) -> None:
    model, path = residual_cnn(), tmp_path / "model.onnx"
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.normal(size=(4, 3, 8, 8)).astype(np.float32)} for _ in range(3)]
    onnx.save(model, path)
    calibrater = MinMaxCalibrater(str(path), ["Conv"], augmented_model_path=str(tmp_path / "augmented.onnx"))
    calibrater.augment_graph()
    calibrater.create_inference_session()
    calibrater.collect_data(Reader(feeds))
    theirs = calibrater.compute_data().data

    watched = [name for name in theirs if name != "x"]
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in watched if name not in present)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # as the calibrater runs it
    session = ort.InferenceSession(model.SerializeToString(), options)
    observers = {name: FloatBitsObserver() for name in theirs}
    for feed in feeds:
        for name, values in {**feed, **dict(zip(watched, session.run(watched, feed), strict=True))}.items():
            observers[name].observe(values)
    assert len(theirs) > 3
    for name, observer in observers.items():
        low, high = (np.asarray(end).item() for end in theirs[name].range_value)
        assert min_max_range(observer) == (min(low, 0.0), max(high, 0.0))


def test_a_range_contains_zero_and_nothing_seen_is_empty() -> None:
    for observer in (FloatBitsObserver(), MovingAverageObserver()):
        assert min_max_range(observer) == (0.0, 0.0)
        observer.observe(np.float32([2.0, 3.0]))
        assert min_max_range(observer) == (0.0, 3.0)


def test_every_channel_has_a_range_of_its_own() -> None:
    observer = ChannelObserver.of(3, axis=0)
    observer.observe(np.float32([[1, 2], [-4, 8], [np.nan, np.inf]]))
    low, high = channel_ranges(observer)
    assert low.tolist() == [0.0, -4.0, 0.0]
    assert high.tolist() == [2.0, 8.0, 0.0]
