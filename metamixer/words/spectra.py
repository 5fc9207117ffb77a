"""Work on frequencies: the Fourier view, and words that read spectra."""

from __future__ import annotations

from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Spectral
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Score, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Spans, Weighing, Weight, on_grid, one, register
from metamixer.words.activations import Pointwise
from metamixer.words.banks import frozen
from metamixer.words.combinators import elements
from metamixer.words.views import View


@register
class Frequencies(View):
    """``@fft``: the operand sees the spectrum of the grid, and its result is transformed back.

    The transform is orthonormal and real to half-complex: ``L // 2 + 1`` frequencies along the last axis, complex
    values. A gate ``(x * f)@fft`` is a circular convolution. Transforms count as elementwise.
    Source: adaptive frequency filters, arXiv 2307.14008.
    """

    name = "fft"
    mixes, ordered = True, False

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        on_grid(ctx.x, "fft")
        return Done((Place("fft"),))

    def inner(self, field: Field, place: Place) -> Field:
        grid = on_grid(field, "fft").grid
        return Field((*grid[:-1], grid[-1] // 2 + 1), field.channels, 0, True)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        inner = self.inner(field, place)
        if not out.spectral or out.grid != inner.grid:
            raise Mismatch(f"inside fft {inner} became {out}", "keep its frequencies")
        return Field(field.grid, out.channels)

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        return (None,) * len(field.grid)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None

    def work(self, field: Field, out: Field) -> int:
        return elements(field) + elements(out)

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        import torch

        if not dense:
            whole = value if value.dtype in (torch.float32, torch.float64) else value.float()
            return torch.fft.rfftn(whole, dim=list(range(1, value.ndim - 1)), norm="ortho")
        spectrum = value.to(torch.complex128 if value.dtype == torch.float64 else torch.complex64)
        for axis, length in enumerate(field.grid, 1):
            kept = length // 2 + 1 if axis == len(field.grid) else length
            spectrum = _along(axis, _waves(length, value.device).conj()[:kept], spectrum)
        return spectrum

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        import torch

        grid = field.grid
        if not dense:
            return torch.fft.irfftn(value, s=grid, dim=list(range(1, value.ndim - 1)), norm="ortho")
        for axis, length in enumerate(grid, 1):
            waves = _waves(length, value.device)
            if axis == len(grid):  # what the half left out is the conjugate of what it kept
                twice = [1.0 if 2 * k % length == 0 else 2.0 for k in range(length // 2 + 1)]
                waves = waves[:, : length // 2 + 1] * torch.tensor(twice, device=value.device)
            value = _along(axis, waves, value)
        return value.real


def _waves(length: int, device: Any) -> Any:
    """Matrix of exp(2 pi i n k / length) / sqrt(length)."""
    import torch

    at = torch.arange(length, device=device)
    angle = 2 * torch.pi * (at[:, None] * at % length).double() / length
    return torch.polar(torch.full_like(angle, length**-0.5), angle)


def _along(axis: int, matrix: Any, value: Any) -> Any:
    """A matrix applied to one axis."""
    import torch

    return torch.tensordot(matrix.to(value.dtype), value, ([1], [axis])).movedim(0, axis)


def spectrum_of(value: Type, name: str) -> Field:
    """The value, refused unless it is a spectrum."""
    field = field_of(value, f"the source of {name}") if not isinstance(value, Score) else None
    if field is None or not field.spectral:
        raise Mismatch(f"{name} reads a spectrum", f"write it inside @fft: (x * {name})@fft")
    return field


@register
class ComplexLinear(Plain, Spectral):
    """``clin(c, g=1, b=1)``: ``lin`` with complex weights, inside ``@fft``; a complex product is four real ones.

    MACs: 4 * frequencies * C * c / g. Source: adaptive Fourier neural operators, arXiv 2111.13587.
    """

    name = "clin"
    counted = "4 * frequencies * C * c / g"
    sizes = {"c": None}
    sources = roles = ("x",)
    keywords = {"g": (1,), "b": (1,), "fix": None}

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("channels", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = spectrum_of(sources[0], self.name)
        c = x.channels if settings["c"] is None else one(settings["c"], "a width")
        g = one(settings["g"], "g")
        if c < 1 or g < 1 or x.channels % g or c % g:
            raise Mismatch(
                f"{g} groups do not divide {x.channels} -> {c} channels", f"g must divide both {x.channels} and {c}"
            )
        resolved = {"c": c, "g": g, "b": one(settings["b"], "b"), "fix": frozen(settings["fix"])}
        return Done(x._replace(channels=c), resolved)

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        fan_in, c, trained = t.inputs[0].channels // t.settings["g"], t.settings["c"], not t.settings["fix"]
        kinds = ("real", "imaginary")
        found = [Weight(kind, (c, fan_in), "normal", (2 * fan_in) ** -0.5, trained) for kind in kinds]
        shift = [Weight(f"{kind}_bias", (c,), "fill", 0.0, trained) for kind in kinds] if t.settings["b"] else []
        return (*found, *shift)

    def macs(self, t: Typed) -> int:
        return int(4 * t.out.tokens * t.settings["c"] * t.inputs[0].channels // t.settings["g"])

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        g = t.settings["g"]
        parts = torch.view_as_real(x).reshape(-1, g, x.shape[-1] // g, 2)
        rows = torch.cat([parts[..., 0], parts[..., 1]], -1).transpose(0, 1)  # (groups, frequencies, re and im)
        real, imaginary = (m.reshape(g, -1, m.shape[-1]).mT.to(rows.dtype) for m in (w.real, w.imaginary))
        matrix = torch.cat([torch.cat([real, imaginary], -1), torch.cat([-imaginary, real], -1)], -2)
        product = (rows @ matrix).to(rows.dtype)  # autocast makes it a half, of which there are no complex numbers
        re, im = (part.transpose(0, 1).flatten(1) for part in product.chunk(2, -1))
        if t.settings["b"]:
            re, im = re + w.real_bias, im + w.imaginary_bias
        return torch.complex(re, im).reshape(*x.shape[:-1], t.settings["c"])

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        g = t.settings["g"]
        weight = torch.complex(w.real, w.imaginary).unflatten(0, (g, -1))
        y = torch.einsum("...gi,goi->...go", x.unflatten(-1, (g, -1)), weight).flatten(-2)
        return y + torch.complex(w.real_bias, w.imaginary_bias) if t.settings["b"] else y


@register
class ComplexRelu(Pointwise, Spectral):
    """``crelu``: max(.., 0) of the real and of the imaginary part, inside ``@fft`` (arXiv 2111.13587)."""

    name = "crelu"
    kinds = ("term",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(spectrum_of(sources[0], self.name))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        return torch.complex(x.real.relu(), x.imag.relu())
