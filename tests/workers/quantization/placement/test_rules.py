from workers.quantization.placement import TENSORRT, UINT8_BY_INT8


def test_weights_have_eight_bits_and_a_scale_for_each_channel() -> None:
    # sums of two products that may saturate are limited by pairs, which costs no bit
    for weights in (UINT8_BY_INT8.weights, TENSORRT.schemes.weights):
        assert (weights.dtype, weights.q_max, weights.granularity) == ("int8", 127, "per_axis")


def test_tensorrt_knows_no_zero_point() -> None:
    assert TENSORRT.schemes.activations.symmetric
    assert TENSORRT.schemes.activations.dtype == "int8"
    assert not UINT8_BY_INT8.activations.symmetric
