"""Comparisons and what is done with their answers."""

import torch
from torch import Tensor

from workers.quantization.executor.operators.entry import Entry, Key


def is_infinite(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    return (torch.isposinf(x) & bool(detect_positive)) | (torch.isneginf(x) & bool(detect_negative))


LOGIC: dict[Key, Entry] = {
    ("And", 7): Entry(torch.logical_and),
    ("Equal", 7): Entry(torch.eq),
    ("Greater", 7): Entry(torch.gt),
    ("GreaterOrEqual", 12): Entry(torch.ge),
    ("IsInf", 10): Entry(is_infinite),
    ("IsNaN", 9): Entry(torch.isnan),
    ("Less", 7): Entry(torch.lt),
    ("LessOrEqual", 12): Entry(torch.le),
    ("Not", 1): Entry(torch.logical_not),
    ("Or", 7): Entry(torch.logical_or),
    ("Where", 9): Entry(torch.where),
    ("Xor", 7): Entry(torch.logical_xor),
}
