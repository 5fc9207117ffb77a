"""One part of a data set where training reads it: whole on the device, or batch by batch from where it is stored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from metamixer.tasks import Task


@dataclass(frozen=True, eq=False)
class Source:
    """Inputs and classes of one part.

    Args:
        x: (images, *grid, channels), uint8 or float32; on the device, or on the CPU where it is read in batches.
        y: (images,), int64, beside x.
        device: Where batches go.
        scale: (channels,): what a raw input is multiplied by, on the device; None for 1.
        shift: (channels,): what is then added; None for 0.
    """

    x: Tensor
    y: Tensor
    device: torch.device
    scale: Tensor | None = None
    shift: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def raw_bytes(self) -> bool:
        """Whether raw inputs are pixel values 0..255."""
        return self.x.dtype == torch.uint8

    def batch(self, take: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Raw inputs and classes of some images, on the device. `take`: numbers of images, beside x."""
        x, y = self.x[take], self.y[take]
        if self.x.device == self.device:
            return x, y
        if self.device.type == "cuda":
            x, y = x.pin_memory(), y.pin_memory()
        return x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def normalized(self, x: Tensor) -> Tensor:
        """Raw inputs, or ones that augmentation has made of them, as float32 of the task's mean 0 and deviation 1."""
        x = x.float()
        if self.scale is not None:
            x = x * self.scale
        return x if self.shift is None else x + self.shift


@cache
def sources(task: Task, device: str) -> tuple[Source, Source]:
    """Training and validation part of a task for a device; made once per process.

    On the CPU pixel values are used where they lie: what is memory-mapped is shared by all processes of a machine, and
    read as it is asked for. On another device a part lies whole in its memory, as it is stored, unless it is larger
    than the task's `memory_limit` or half of what is free there; then its batches are read one after another.
    """
    arrays = task.data()
    return (
        part_of(task, arrays.x_train, arrays.y_train, torch.device(device)),
        part_of(task, arrays.x_val, arrays.y_val, torch.device(device)),
    )


def part_of(task: Task, x: np.ndarray, y: np.ndarray, device: torch.device) -> Source:
    """One part of a task for a device, see `sources`."""
    scale, shift = _affine(task, x.dtype == np.uint8)
    fits = x.nbytes <= _room(task, device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        where = device if fits else torch.device("cpu")
        # Floating-point parts are copied: torch's own memory is aligned as its kernels like it.
        shared = not fits or (where.type == "cpu" and x.dtype == np.uint8)
        inputs = torch.from_numpy(x) if shared else torch.tensor(x, device=where)
        return Source(
            inputs,
            torch.tensor(y, device=where),
            device,
            None if scale is None else torch.tensor(scale, dtype=torch.float32, device=device),
            None if shift is None else torch.tensor(shift, dtype=torch.float32, device=device),
        )


def _room(task: Task, device: torch.device) -> float:
    """Bytes that one part may take on the device."""
    limit = float("inf") if task.memory_limit is None else task.memory_limit
    if device.type != "cuda":
        return limit
    free, _ = torch.cuda.mem_get_info(device)
    return min(limit, free / 2)


def _affine(task: Task, raw_bytes: bool) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Scale and shift of each channel: division by 255 for bytes, then the task's mean and deviation."""
    if not raw_bytes and task.mean is None and task.std is None:
        return None, None
    std = np.ones(task.channels) if task.std is None else np.array(task.std)
    scale = 1 / (std * (255 if raw_bytes else 1))
    return scale, None if task.mean is None else -np.array(task.mean) / std
