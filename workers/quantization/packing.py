"""Two 4-bit codes in a byte, as ONNX stores int4 and uint4: the first code in the low nibble, the last one padded."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import IntArray


class CodesDoNotFit(ValueError):
    """A code lies outside -8..7 or 0..15."""


def pack_int4(codes: IntArray) -> npt.NDArray[np.uint8]:
    """[..] codes of one byte each -> [ceil(count / 2)] bytes, in row order.

    int8 codes within -8..7 are stored as two's complement, uint8 codes within 0..15 as they are; an odd count is filled
    up with a zero. Raises CodesDoNotFit. Source: ONNX, TensorProto.raw_data for INT4 and UINT4.
    """
    low, high = (-8, 7) if codes.dtype == np.int8 else (0, 15)
    if codes.size and (codes.min() < low or codes.max() > high):
        raise CodesDoNotFit(f"Codes {codes.min()}..{codes.max()} do not fit {low}..{high}.")
    nibbles: npt.NDArray[np.uint8] = codes.ravel().astype(np.uint8) & np.uint8(0x0F)
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    # [2 * bytes] -> [bytes]
    packed: npt.NDArray[np.uint8] = nibbles[0::2] | (nibbles[1::2] << np.uint8(4))
    return packed


def unpack_int4(packed: npt.NDArray[np.uint8], *, shape: tuple[int, ...], dtype: Literal["int4", "uint4"]) -> IntArray:
    """The codes that `pack_int4` packed, one in a byte: int8 for int4, uint8 for uint4. packed: [ceil(count / 2)]."""
    nibbles = np.empty(packed.size * 2, np.uint8)
    nibbles[0::2], nibbles[1::2] = packed & 0x0F, packed >> 4
    codes = nibbles[: math.prod(shape)].reshape(shape)
    if dtype == "uint4":
        return codes
    # the sign bit of four becomes that of eight: 0b1000 ^ 8 - 8 = -8
    return (codes ^ 8).astype(np.int8) - np.int8(8)
