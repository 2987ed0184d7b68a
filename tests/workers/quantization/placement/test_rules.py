from dataclasses import replace

from workers.quantization.placement import ONNXRUNTIME_CPU, TENSORRT


def test_weights_lose_a_bit_only_where_sums_of_two_products_may_saturate() -> None:
    # 2 * 255 * 127 = 64770 does not fit 16 bits, 2 * 255 * 64 = 32640 does; VNNI and TensorRT sum in 32 bits
    assert ONNXRUNTIME_CPU.default_weights.q_max == 63
    assert replace(ONNXRUNTIME_CPU, vnni=True).default_weights.q_max == 127
    assert TENSORRT.default_weights.q_max == 127


def test_tensorrt_knows_no_zero_point() -> None:
    assert TENSORRT.activations.symmetric
    assert TENSORRT.activations.dtype == "int8"
    assert not ONNXRUNTIME_CPU.activations.symmetric
