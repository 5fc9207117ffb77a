"""A network as files that others run: plain torch source, weights, torch.export, ONNX, a model card."""

from metamixer.export.folder import Subject, export

__all__ = ["Subject", "export"]
