"""Checked sentence -> fast torch module. Importing this package imports no torch; building does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metamixer.compile.fuse import fuse, fused_sentence

if TYPE_CHECKING:
    from torch import nn

    from metamixer.language import Sentence
    from metamixer.language.checking.types import Given


def build(
    sentence: Sentence | str, channels: int, grid: tuple[int, ...], counted: bool = False, context: Given = None
) -> nn.Module:
    """The network of a sentence: ``(B, *grid, channels) -> (B, *grid', channels')``, float32, freshly initialised.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of the input.
        grid: length of each axis of the input.
        counted: build the form whose products are exactly those that ``metamixer.cost`` counts, for checks with a
            counter; the default may spend more of them in a faster kernel (a mask for a small neighbourhood).
        context: further inputs, as for ``check``; the module takes the tensor of ``ctx`` as second argument, or a
            mapping of names to tensors.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    from metamixer.compile.modules import Network
    from metamixer.language import parse

    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    return Network(sentence.typed(channels, tuple(grid), context), counted)


__all__ = ["build", "fuse", "fused_sentence"]
