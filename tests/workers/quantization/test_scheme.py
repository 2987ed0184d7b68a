from typing import Any

import pytest

from workers.quantization.scheme import (
    INT4_WEIGHTS,
    INT8_WEIGHTS,
    PRESETS,
    UINT8_ACTIVATIONS,
    InvalidScheme,
    Scheme,
)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (("int8", "per_tensor", -129, 127, "absmax_over_q_max"), "not a range within int8"),
        (("uint4", "per_tensor", 0, 16, "range_over_steps"), "not a range within uint4"),
        (("int8", "per_tensor", 5, 5, "range_over_steps"), "not a range"),
        (("int8", "per_tensor", 0, 127, "absmax_over_q_max"), "both sides of 0"),
        (("int4", "per_group", -8, 7, "absmax_over_q_max"), "group_size goes with per_group"),
        (("int4", "per_axis", -8, 7, "absmax_over_q_max", 32), "group_size goes with per_group"),
        (("int4", "per_group", -8, 7, "absmax_over_q_max", 0), "at least one value"),
    ],
)
def test_a_scheme_that_contradicts_itself_is_refused_with_a_sentence(parts: Any, sentence: str) -> None:
    with pytest.raises(InvalidScheme, match=sentence):
        Scheme(*parts)


def test_the_zero_point_of_a_symmetric_scheme_is_in_the_middle_of_its_codes() -> None:
    assert INT8_WEIGHTS.middle == 0
    assert INT4_WEIGHTS.middle == 0
    assert Scheme("uint8", "per_tensor", 0, 255, "absmax_over_q_max").middle == 128
    assert Scheme("uint8", "per_tensor", 0, 127, "absmax_over_q_max").middle == 64
    assert Scheme("uint4", "per_tensor", 0, 15, "absmax_over_half_range").middle == 8


def test_only_ranges_that_may_lie_on_one_side_are_asymmetric() -> None:
    assert not UINT8_ACTIVATIONS.symmetric
    assert INT8_WEIGHTS.symmetric
    assert INT4_WEIGHTS.symmetric


def test_every_preset_is_named_after_its_integers() -> None:
    for name, scheme in PRESETS.items():
        assert name.startswith(scheme.dtype)
