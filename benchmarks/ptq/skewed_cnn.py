"""A small convolutional network whose channels differ in scale by up to 64: what one scale for a tensor cannot hold.

The function is that of the network as it was trained. relu(s x) = s relu(x) for s > 0, so that a channel can be made
larger before a ReLU and smaller by as much in the next layer's weights.
"""

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.ptq.digits import Digits, read, split
from benchmarks.ptq.downloads import handwritten_digits

_BLOCKS = ((16, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 2), (64, 64, 1))
"""Channels in, channels out and stride of each depthwise-separable block."""

_CLASSES = 10
_EPOCHS = 4
_BATCH = 64
_LEARNING_RATE = 3e-3
_LARGEST_EXPONENT = 3.0
_TOLERANCE = 1e-4
_OPSET = 17


def make(folder: Path, *, evaluation: int = 2000, calibration: int = 512) -> None:
    """Write model.onnx, calibration.npz and evaluation.npz (with its labels)."""
    parts = split(read(handwritten_digits()), evaluation=evaluation, calibration=calibration)
    network = without_batch_norm(trained(parts.training))
    probe = torch.from_numpy(parts.evaluation.images[:64])
    with torch.inference_mode():
        expected = network(probe).numpy()
    skew(network)
    export(network, folder / "model.onnx")
    check(folder / "model.onnx", probe, expected)
    np.savez(folder / "calibration.npz", image=parts.calibration.images)
    np.savez(folder / "evaluation.npz", image=parts.evaluation.images, labels=parts.evaluation.labels)


def trained(digits: Digits) -> nn.Sequential:
    """Cross-entropy, Adam, rate falling to zero, same numbers each time."""
    torch.manual_seed(0)
    network = untrained()
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    whole_batches = len(labels) // _BATCH
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=_EPOCHS * whole_batches)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(labels))[: whole_batches * _BATCH]
        for rows in order.reshape(whole_batches, _BATCH):
            loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
            torch.autograd.backward(loss)
            optimizer.step()
            falling.step()
            optimizer.zero_grad()
    return network.eval()


def untrained() -> nn.Sequential:
    """A stem, the blocks, the mean over the image and a linear classifier."""
    layers = _convolution(1, _BLOCKS[0][0], kernel=3)
    for channels, wider, stride in _BLOCKS:
        layers += _convolution(channels, channels, kernel=3, stride=stride, groups=channels)
        layers += _convolution(channels, wider, kernel=1)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_BLOCKS[-1][1], _CLASSES)]
    return nn.Sequential(*layers, *head)


def _convolution(channels: int, wider: int, *, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, wider, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(wider), nn.ReLU()]


def without_batch_norm(network: nn.Sequential) -> nn.Sequential:
    """The same function with each normalisation folded into the convolution before it."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


@torch.no_grad()
def skew(network: nn.Sequential) -> None:
    """Multiply each channel before a ReLU by 2^U(-3, 3), and divide what the next layer makes of it by the same."""
    generator = torch.Generator().manual_seed(0)
    weighted = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer, following in pairwise(weighted):
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None  # folding the normalisation made one
        exponents = (2 * torch.rand(layer.out_channels, generator=generator) - 1) * _LARGEST_EXPONENT
        scales = 2.0**exponents
        layer.weight.mul_(scales[:, None, None, None])
        layer.bias.mul_(scales)
        following.weight.div_(_along_inputs(following, scales))


def _along_inputs(layer: nn.Conv2d | nn.Linear, scales: torch.Tensor) -> torch.Tensor:
    """The scales in the shape that meets the layer's weight at its input channels."""
    if isinstance(layer, nn.Linear):
        return scales  # weight [out, in]
    if layer.groups > 1:
        return scales[:, None, None, None]  # depthwise weight [channels, 1, height, width]
    return scales[:, None, None]  # weight [out, in, height, width]


def export(network: nn.Sequential, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exporter is the older one
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 28, 28),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def check(path: Path, probe: torch.Tensor, expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """Raises RuntimeError when the file's logits are not those from before the channels were scaled."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(["logits"], {"image": probe.numpy()})[0] - expected).max())
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"Scaling the channels has changed the logits by {difference}.")
