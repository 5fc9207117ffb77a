"""Published training settings by name: what `preset` in `[training]` stands for; keys written beside it override it.

Each entry is the part of a published recipe that does not belong to one network. What was left out, and why, stands
beside it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

# NiNformer on CIFAR-10: Abdullah-88/NiNformer, train.py at 0ec85d46 (arXiv 2403.02411). Adam without decay at a
# constant rate; crops after zero padding of 4 pixels, and flips. The script normalises by a mean and deviation of 0.5,
# which are the data's settings here, and has a dropout of 0.5 inside the blocks, which is the network's. It augments
# its test images, too; here no validation image is.
NINFORMER = {
    "epochs": 100,
    "batch_size": 128,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "schedule": "constant",
    "warmup_share": 0.0,
    "label_smoothing": 0.0,
    "gradient_clip": 0.0,
    "crop": 4,
    "crop_padding": "zero",
    "flip": "random",
}

# FFNet on ImageNet-1K: the defaults of ysj9909/FFNet, train.py at aed6a707 (arXiv 2406.02021), which are timm's. The
# batch is that of one process; the script does not say how many there were. Cosine to 1e-5 over 300 epochs after five
# of warm-up from 1e-6; the 20 epochs at the lowest rate that timm adds are left out, and so is distillation. timm draws
# one mixing coefficient a batch and a magnitude with a deviation of 0.5; here each image draws its own coefficient, and
# the magnitude is fixed.
FFNET = {
    "epochs": 300,
    "batch_size": 128,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "beta1": 0.9,
    "beta2": 0.999,
    "schedule": "cosine",
    "warmup_share": 5 / 300,
    "first_rate": 1e-3,
    "last_rate": 1e-2,
    "label_smoothing": 0.1,
    "gradient_clip": 0.0,
    "ema": 0.9995,
    "resized_crop": 0.08,
    "flip": "random",
    "randaugment": 2,
    "randaugment_magnitude": 9,
    "randaugment_probability": 0.5,
    "erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
}

# airbench94: KellerJordan/cifar10-airbench, airbench94.py at 01a2367a (arXiv 2404.00498), for networks with batch
# norms. Its loss is a sum and its rate is stated per 1,024 images and free of momentum: 11.5 / (1 + 1 / (1 - 0.85)) is
# 1.5 for a mean, and its decay of 0.0153 becomes 0.0153 / 11.5. Left out, since tuned to its one network: whitening and
# Dirac initialisation, the 64-fold rate of biases, Lookahead, test-time augmentation. It trains in half precision for
# 9.9 epochs.
AIRBENCH = {
    "epochs": 10,
    "batch_size": 1024,
    "optimizer": "sgd",
    "learning_rate": 1.5,
    "momentum": 0.85,
    "weight_decay": 0.0153 / 11.5,
    "schedule": "linear",
    "warmup_share": 0.23,
    "first_rate": 0.2,
    "last_rate": 0.07,
    "label_smoothing": 0.2,
    "gradient_clip": 0.0,
    "crop": 2,
    "crop_padding": "reflect",
    "flip": "alternate",
    "precision": "bfloat16",
    "channels_last": True,
}

PRESETS = MappingProxyType[str, dict[str, Any]]({"ninformer": NINFORMER, "ffnet": FFNET, "airbench": AIRBENCH})
