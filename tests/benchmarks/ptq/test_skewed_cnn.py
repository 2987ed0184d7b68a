"""The network with badly scaled channels is the same function as before."""

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.ptq.skewed_cnn import check, export, skew, untrained, without_batch_norm


@pytest.fixture
def network() -> nn.Sequential:
    """Not trained, but with statistics to fold."""
    torch.manual_seed(3)
    network = untrained()
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network.eval()


@torch.inference_mode()
def test_folding_the_normalisation_changes_nothing(network: nn.Sequential) -> None:
    images = torch.rand(5, 1, 28, 28)
    folded = without_batch_norm(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-5)


def test_scaling_the_channels_changes_the_weights_and_not_the_function(network: nn.Sequential, tmp_path: Path) -> None:
    folded = without_batch_norm(network)
    images = torch.rand(5, 1, 28, 28)
    with torch.inference_mode():
        expected = folded(images).numpy()
    before = folded[0].weight.detach().clone()
    skew(folded)
    scales = (folded[0].weight / before).detach().flatten(1)
    torch.testing.assert_close(scales, scales[:, :1].expand_as(scales))
    # 2^-3 to 2^3
    assert scales.min() >= 0.125 * 0.999
    assert scales.max() <= 8 * 1.001
    assert scales.max() / scales.min() > 8
    export(folded, tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", images, expected)
    with pytest.raises(RuntimeError, match="changed the logits by 1"):
        check(tmp_path / "model.onnx", images, expected + 1)
