"""The integers of one weight, and the figures that say what rounding cost."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, QParams, choose_qparams, dequantize
from workers.quantization.error_metrics import SqnrAccumulator
from workers.quantization.rounding.gptq import gptq_codes
from workers.quantization.rounding.pair_limit import limit_pairs, pair_reach
from workers.quantization.rounding.weight_rows import RowLayout
from workers.quantization.scheme import Scheme

DoubleArray = npt.NDArray[np.float64]

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class RoundedWeight:
    """codes: int8 in the shape of the weight. qparams: of its scheme, along its output channels or of the whole."""

    codes: npt.NDArray[np.int8]
    qparams: QParams
    limited_pairs: bool
    rounding: Literal["nearest", "gptq"] = "nearest"

    def dequantized(self) -> FloatArray:
        return dequantize(self.codes, self.qparams)

    def sqnr_db(self, weight: FloatArray) -> float | None:
        """Of the weight itself; null when it is exact. GPTQ lowers this figure to raise that of the output."""
        error = SqnrAccumulator()
        at_once = max(1, _BLOCK_BYTES // max(1, weight[:1].nbytes))
        for start in range(0, len(weight), at_once):
            part = slice(start, start + at_once)
            error.observe(weight[part], dequantize(self.codes[part], self._qparams_of(part)))
        return error.db()

    def _qparams_of(self, part: slice) -> QParams:
        """Of some of the places along the first axis."""
        if self.qparams.axis != 0:
            return self.qparams
        return replace(self.qparams, scale=self.qparams.scale[part], zero_point=self.qparams.zero_point[part])


def round_weight(
    weight: FloatArray,
    scheme: Scheme,
    *,
    axis: int,
    limited: bool,
    scale: FloatArray | None = None,
    hessian: DoubleArray | None = None,
) -> RoundedWeight:
    """Symmetric codes for a weight whose output channels lie along `axis`.

    limited: hold neighbours to PAIR_LIMIT. scale: [channels] or a scalar in place of those that follow from the weight,
    where a bias asks for larger ones. hessian: [groups, K, K] in the order of `RowLayout`, K the length of a row and
    the channels dealt out to the groups in turn; None rounds to the nearest.
    """
    alone = hessian is None and scale is None and scheme.granularity == "per_axis"
    if alone and weight.nbytes > _BLOCK_BYTES and weight.shape[axis] > 1:
        return _in_blocks(weight, scheme, axis=axis, limited=limited)
    layout = RowLayout(weight.shape, axis)
    rows = layout.rows(weight)
    qparams = _qparams(rows, scheme, axis=axis, limited=limited)
    if scale is not None:
        qparams = replace(qparams, scale=scale)
    steps = np.broadcast_to(qparams.scale, (len(rows),))
    if hessian is None:
        codes = np.clip(np.rint(rows / steps[:, np.newaxis]), scheme.q_min, scheme.q_max).astype(np.int8)
    else:
        codes = np.concatenate(
            [
                gptq_codes(part, scales, matrix, q_min=scheme.q_min, q_max=scheme.q_max, limit_pairs=limited)
                for part, scales, matrix in zip(
                    np.split(rows, len(hessian)), np.split(steps, len(hessian)), hessian, strict=True
                )
            ]
        )
    if limited:
        codes = limit_pairs(codes)
    rounding: Literal["nearest", "gptq"] = "nearest" if hessian is None else "gptq"
    return RoundedWeight(layout.weight(codes).astype(np.int8), qparams, limited, rounding)


def _in_blocks(weight: FloatArray, scheme: Scheme, *, axis: int, limited: bool) -> RoundedWeight:
    """The same, some channels at a time: they have nothing to do with each other, and a dozen copies of a block are
    less than those of a large weight."""
    count = min(-(-weight.nbytes // _BLOCK_BYTES), weight.shape[axis])
    parts = np.array_split(weight, count, axis=axis)
    blocks = [round_weight(part, scheme, axis=axis, limited=limited) for part in parts]
    scale, zero_point = (np.concatenate([getattr(b.qparams, name) for b in blocks]) for name in ("scale", "zero_point"))
    return RoundedWeight(
        np.concatenate([b.codes for b in blocks], axis=axis),
        replace(blocks[0].qparams, scale=scale, zero_point=zero_point),
        limited,
    )


def _qparams(rows: FloatArray, scheme: Scheme, *, axis: int, limited: bool) -> QParams:
    """Scales from the largest weight, or pair of neighbours, of each row or of all."""
    reach = pair_reach(rows, q_max=scheme.q_max) if limited else np.abs(rows).max(axis=1, initial=0.0)
    if scheme.granularity == "per_tensor":
        return choose_qparams(0.0, reach.max(initial=0.0), scheme)
    return choose_qparams(np.zeros_like(reach), reach, scheme, axis=axis)
