"""The optimisers of a recipe: AdamW, SGD with Nesterov's momentum, or Muon on matrices with AdamW for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from metamixer.training.recipe import Recipe


def optimizers(net: nn.Module, recipe: Recipe) -> tuple[Optimizer, ...]:
    """One optimiser, or Muon's two, which step together.

    Scales, offsets and biases (one axis or none) are not decayed. Muon (Jordan et al. 2024) takes the weights of two
    axes but the last, which is the classifier's; its steps are scaled to the size of AdamW's (Liu et al. 2025,
    arXiv 2502.16982), so that one learning rate and one decay serve both.
    """
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    rate = recipe.learning_rate
    if recipe.optimizer == "sgd":
        sgd = torch.optim.SGD(
            _groups(trained, recipe), lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
        )
        return (sgd,)
    if recipe.optimizer == "muon":
        matrices = [parameter for parameter in trained if parameter.ndim == 2][:-1]
        if matrices:
            taken = {id(parameter) for parameter in matrices}
            muon = torch.optim.Muon(
                matrices,
                lr=rate,
                weight_decay=recipe.weight_decay,
                momentum=recipe.momentum,
                nesterov=True,
                adjust_lr_fn="match_rms_adamw",
            )
            return muon, _adamw([parameter for parameter in trained if id(parameter) not in taken], recipe)
    return (_adamw(trained, recipe),)


def _adamw(parameters: Sequence[Parameter], recipe: Recipe) -> Optimizer:
    return torch.optim.AdamW(
        _groups(parameters, recipe),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )


def _groups(parameters: Sequence[Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
