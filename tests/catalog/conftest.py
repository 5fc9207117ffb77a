"""What the tests against timm share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def timm():
    """The package timm, which asks torchvision for no more than the names of two operators."""
    library = None
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # its compiled operators belong to another torch; the names are enough to import it
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except ImportError:
        pass
    yield pytest.importorskip("timm")
    del library  # its definitions live as long as it does
