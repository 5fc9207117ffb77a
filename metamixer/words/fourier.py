"""The Fourier transform as a fixed mixer of tokens and channels."""

from __future__ import annotations

from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Context, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Spans, Weighing, register
from metamixer.words.combinators import elements


@register
class Fourier(Plain):
    """``fourier``: real part of the discrete Fourier transform over all tokens and over channels (FNet).

    ``y[n, c] = sum over m, d of cos(2 pi (n m / tokens + c d / channels)) x[m, d]``, tokens in the order of memory;
    no weights, counted as elementwise. Source: FNet, arXiv 2105.03824; the gate of Fourier NiNformer.
    """

    name = "fourier"
    positional = True  # a permutation, or a shift, of the tokens is another signal
    sources = roles = ("x",)

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,) * len(t.out.grid),)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("both", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(field_of(sources[0], "the source of fourier"))

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        tokens = x.reshape(x.shape[0], t.out.tokens, t.out.channels)
        return torch.fft.fft(torch.fft.fft(tokens, dim=2), dim=1).real.reshape(x.shape)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        tokens = x.reshape(x.shape[0], t.out.tokens, t.out.channels)
        parts = []
        for n in tokens.shape[1:]:
            k = torch.arange(n, device=x.device)
            angle = 2 * torch.pi * (k[:, None] * k % n).to(x.dtype) / n
            parts.append((angle.cos(), angle.sin()))
        (cos_n, sin_n), (cos_c, sin_c) = parts
        return (cos_n @ tokens @ cos_c - sin_n @ tokens @ sin_c).reshape(x.shape)
