"""How every architecture of a study is trained: the `[training]` table of its configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from metamixer.training.presets import PRESETS


class Recipe(BaseModel):
    """AdamW (Loshchilov and Hutter 2019) under a one-cycle learning rate (Smith and Topin 2018), no augmentation.

    One recipe serves all architectures of a study. The defaults were chosen for `digits-hard` on hand-written networks
    of 2 to 6 blocks of width 32 to 64: at nine epochs, shifting, turning, mixing images and averaging weights all cost
    accuracy or left it as it was.

    As JSON, the keys that came after the first nine are written only where they are not at their default, so that a
    record made before there were such keys is still of the same recipe.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    preset: Literal["ninformer", "ffnet", "airbench"] | None = Field(
        default=None, description="published settings that keys written beside it override"
    )
    epochs: int = Field(default=9, ge=1, le=10_000, description="passes over the training part")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="images per step; a rest of an epoch is left out")
    accumulation: int = Field(
        default=1, ge=1, le=4096, description="pieces that a step's batch is computed in, one after another"
    )
    optimizer: Literal["adamw", "muon", "sgd"] = Field(
        default="adamw", description="muon: on matrices, with AdamW for the rest; sgd: with Nesterov's momentum"
    )
    learning_rate: float = Field(default=6e-3, gt=0, le=10, description="peak of the schedule")
    weight_decay: float = Field(
        default=0.05, ge=0, le=10, description="on weights of two or more axes only; decoupled, but for sgd"
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="AdamW's decay of the mean gradient")
    beta2: float = Field(default=0.99, ge=0, lt=1, description="AdamW's decay of the mean squared gradient")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov's momentum of muon and sgd")
    schedule: Literal["one-cycle", "cosine", "linear", "constant"] = Field(
        default="one-cycle", description="how the learning rate falls after its warm-up"
    )
    warmup_share: float = Field(default=0.25, ge=0, le=0.9, description="share of all steps with a rising rate")
    first_rate: float = Field(
        default=0.04, ge=0, le=1, description="rate of the first step, in peaks; one-cycle has 1/25 in any case"
    )
    last_rate: float = Field(
        default=0.0, ge=0, le=1, description="rate after the last step, in peaks, of cosine and linear"
    )
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="probability spread evenly over all classes")
    gradient_clip: float = Field(default=1.0, ge=0, description="largest norm of the gradients; 0 for no limit")
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged weights that are validated and kept; 0: the last"
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="stochastic depth, at the last residual branch")
    crop: int = Field(
        default=0, ge=0, le=4096, description="pixels that an image is shifted by at most, along each axis"
    )
    crop_padding: Literal["zero", "reflect"] = Field(default="zero", description="what a shifted image uncovers")
    resized_crop: float = Field(
        default=0.0, ge=0, le=1, description="smallest share of the area that is cut out and enlarged; 0: no such crop"
    )
    flip: Literal["none", "random", "alternate"] = Field(
        default="none", description="left to right: by chance each time, or every other epoch"
    )
    cutout: int = Field(default=0, ge=0, le=4096, description="side of a square that is blanked, in pixels")
    erasing: float = Field(default=0.0, ge=0, le=1, description="chance that a rectangle is filled with noise")
    randaugment: int = Field(default=0, ge=0, le=14, description="RandAugment's operations an image")
    randaugment_magnitude: int = Field(default=9, ge=0, le=30, description="their strength")
    randaugment_probability: float = Field(default=1.0, ge=0, le=1, description="chance that each is applied")
    mixup: float = Field(default=0.0, ge=0, description="alpha of mixup; 0: none")
    cutmix: float = Field(default=0.0, ge=0, description="alpha of CutMix; with mixup, each image draws one of the two")
    mix_probability: float = Field(default=1.0, ge=0, le=1, description="chance that an image is mixed")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: automatic mixed precision"
    )
    channels_last: bool = Field(default=False, description="convolution kernels with channels last in memory")

    @model_validator(mode="before")
    @classmethod
    def _preset_under_explicit_keys(cls, given: Any) -> Any:
        settings = PRESETS.get(given.get("preset") or "") if isinstance(given, dict) else None
        return given if settings is None else {**settings, **given}

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        if self.preset is not None:
            return document  # a key that was set back to its default must be written beside a preset
        return {
            name: value
            for name, value in document.items()
            if name in _FIRST or getattr(self, name) != type(self).model_fields[name].default
        }


_FIRST = {
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "beta1",
    "beta2",
    "warmup_share",
    "label_smoothing",
    "gradient_clip",
}
