"""GPTQ: round one column of a weight after the other, and let the columns that are left make up for the error.

    minimise || X W^T - X Q^T ||^2 row by row, H = X^T X + damping * mean(diag H) * I
    for each column i:   q_i = round(w_i / scale);   e = (w_i - scale * q_i) / U_ii;   w_j -= e * U_ij  for j > i
    with U the upper Cholesky factor of H^-1

Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023
(arXiv:2210.17323), algorithm 1. Deviations: 8-bit codes with one fixed scale a row; columns in order of falling
diagonal ("act-order" of the authors' code); codes may be limited in pairs (`pair_limit`).
"""

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray
from workers.quantization.rounding.pair_limit import room_beside

DoubleArray = npt.NDArray[np.float64]

_BLOCK = 128  # columns whose corrections are applied to the rest at once, as one matrix product
_DAMPING = 0.01


def gptq_codes(
    rows: FloatArray, scale: FloatArray, hessian: DoubleArray, *, q_min: int, q_max: int, limit_pairs: bool
) -> npt.NDArray[np.int8]:
    """Codes for `rows`, [channels, K] -> [channels, K].

    scale: [channels] or a scalar. hessian: [K, K], the sum of x x^T over the inputs that the layer sees.
    A column that is never active (a zero on the diagonal) is rounded to the nearest.
    """
    order = np.argsort(-np.diag(hessian), kind="stable")
    factor = _inverse_factor(hessian[np.ix_(order, order)]).astype(np.float32)
    unit = np.broadcast_to(np.asarray(scale, np.float32), (len(rows),))
    left = rows[:, order] / unit[:, np.newaxis]  # in units of a code from here on
    codes = np.zeros_like(left)
    partner = np.argsort(order)[_neighbours(order)]
    for start in range(0, left.shape[1], _BLOCK):
        stop = min(start + _BLOCK, left.shape[1])
        errors = np.zeros((len(rows), stop - start), np.float32)
        for i in range(start, stop):
            low, high = _room(codes, partner[i], i, q_min=q_min, q_max=q_max) if limit_pairs else (q_min, q_max)
            codes[:, i] = np.clip(np.rint(left[:, i]), low, high)
            error = (left[:, i] - codes[:, i]) / factor[i, i]
            left[:, i + 1 : stop] -= np.outer(error, factor[i, i + 1 : stop])
            errors[:, i - start] = error
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    result = np.empty_like(codes)
    result[:, order] = codes
    return result.astype(np.int8)


def _inverse_factor(hessian: DoubleArray) -> DoubleArray:
    """The upper Cholesky factor of the damped Hessian's inverse. In units of the mean diagonal: only ratios matter."""
    mean = float(np.diag(hessian).mean())
    scaled = hessian / mean if mean > 0.0 else np.zeros_like(hessian)
    inverse = np.linalg.inv(scaled + _DAMPING * np.eye(len(hessian)))
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2.0).T, np.float64)


def _neighbours(columns: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The column that shares a 16-bit sum with each column; the last of an odd number is its own."""
    return np.asarray(np.minimum(columns ^ 1, len(columns) - 1))


def _room(codes: FloatArray, partner: int, column: int, *, q_min: int, q_max: int) -> tuple[FloatArray, FloatArray]:
    """What the neighbour leaves to a column; nothing is taken yet when the neighbour's turn comes later."""
    beside = codes[:, partner] if partner < column else np.zeros(len(codes), np.float32)
    return room_beside(beside, q_min=q_min, q_max=q_max)
