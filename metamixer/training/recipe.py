"""How every architecture of a study is trained: the `[training]` table of its configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """AdamW (Loshchilov and Hutter 2019) under a one-cycle learning rate (Smith and Topin 2018), no augmentation.

    One recipe serves all architectures of a study. The defaults were chosen for `digits-hard` on hand-written networks
    of 2 to 6 blocks of width 32 to 64: at nine epochs, shifting, turning, mixing images and averaging weights all cost
    accuracy or left it as it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=9, ge=1, le=10_000, description="passes over the training part")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="images per step; a rest of an epoch is left out")
    learning_rate: float = Field(default=6e-3, gt=0, le=10, description="peak of the one-cycle schedule")
    weight_decay: float = Field(default=0.05, ge=0, le=10, description="on weights of two or more axes only, decoupled")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="AdamW's decay of the mean gradient")
    beta2: float = Field(default=0.99, ge=0, lt=1, description="AdamW's decay of the mean squared gradient")
    warmup_share: float = Field(default=0.25, ge=0, le=0.9, description="share of all steps with a rising rate")
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="probability spread evenly over all classes")
    gradient_clip: float = Field(default=1.0, ge=0, description="largest norm of the gradients; 0 for no limit")
