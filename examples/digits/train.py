"""Trains a small convolutional network on real handwritten digits and saves what a user of the service would have:
a float ONNX model, calibration data, and evaluation data with labels.

The 1,797 images of 8 x 8 pixels come with scikit-learn (UCI "Optical Recognition of Handwritten Digits", test part).
"""

import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
TRAINING, CALIBRATION = 1000, 200  # of 1,797; the other 597 are for evaluation
EPOCHS, BATCH = 12, 50
WIDTH = 64


class Files(NamedTuple):
    model: Path
    calibration: Path
    evaluation: Path


class DigitsNet(nn.Module):
    """Three convolutions with batch norm, one of them residual, then a linear classifier: 115 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, WIDTH)
        self.middle = _convolution(WIDTH, WIDTH)
        self.last = _convolution(WIDTH, 2 * WIDTH)
        self.classifier = nn.Linear(2 * WIDTH, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # [batch, 1, 8, 8] -> [batch, 10]
        stem = self.stem(image)
        hidden = nn.functional.max_pool2d(stem + self.middle(stem), 2)
        scores: torch.Tensor = self.classifier(self.last(hidden).mean(dim=(2, 3)))
        return scores


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def make_files(directory: Path) -> Files:
    """Train, export and save."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # so small a network gains little from more, and on busy cores its threads only wait
    images, labels = _digits()
    model = _trained(images[:TRAINING], labels[:TRAINING])
    files = Files(directory / "digits.onnx", directory / "calibration.npz", directory / "evaluation.npz")
    _export(model, files.model)
    held_out = slice(TRAINING + CALIBRATION, None)
    np.savez(files.calibration, image=images[TRAINING : TRAINING + CALIBRATION].numpy())
    np.savez(files.evaluation, image=images[held_out].numpy(), labels=labels[held_out].numpy())
    return files


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    images = torch.tensor(pixels[order] / 16.0, dtype=torch.float32)  # the pixels are counts from 0 to 16
    return images.reshape(-1, 1, 8, 8), torch.tensor(labels[order], dtype=torch.int64)


def _trained(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    model = DigitsNet()
    steps = EPOCHS * len(images) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def _export(model: nn.Module, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about parts of its own that are not used here
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 8, 8),),
            path,
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
