"""Sources: the input, linear projection, pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.checking.affine import Affine, Tensors, held
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AffineMap, Combinator, Evaluate, Projection, Shortcut
from metamixer.language.checking.types import Context, Field, Mismatch, Type, field_of
from metamixer.language.checking.vocabulary import (
    REQUIRED,
    Demand,
    Done,
    Form,
    KindOf,
    Plain,
    Span,
    Spans,
    Weighing,
    Weight,
    Word,
    one,
    per_axis,
    register,
)
from metamixer.language.syntax.nodes import Node, X, name_of, size, word
from metamixer.words.banks import frozen
from metamixer.words.combinators import elements, unplaced


@register
class Input(Word, Combinator, Shortcut):
    """``x``: the current input."""

    name, form = "x", Form.INPUT

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if node.kids:
            raise Mismatch("x takes no arguments")
        return Done(unplaced(ctx, "x").x)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return x


@register
class Given(Word, Combinator):
    """``ctx``: the second input, a field that comes with x; ``ctx(e)``: a further input by its name.

    ``check``, ``cost`` and ``build`` take its type as ``context=Field(grid, channels)`` (several inputs: a mapping of
    names), the module its tensor as second argument. Views apply to it where it stands on the grid of x.
    """

    name, form = "ctx", Form.BOUND

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        unplaced(ctx, "ctx")
        given = [name_of(kid) for kid in node.kids] or [self.name]
        name = given[0]
        if len(given) > 1 or name is None:
            raise Mismatch("ctx takes the name of an input", "write ctx, or ctx(e)")
        bound = ctx.find(name)
        if bound is None or not bound.given:
            main = name == self.name
            field = "Field(grid, channels)" if main else f"{{'{name}': Field(grid, channels)}}"
            option = f"--context {'' if main else f'{name}='}64:8x8"
            advice = f"pass context={field} to check, cost and build; to metamixer show {option}"
            raise Mismatch(f"the input {name} is not given", advice)
        return Done(bound.type, {"name": name})

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return env[t.settings["name"]]


def sharing(value: Any, rows: int, what: str) -> int | None:
    """The number of weight sets that rows share, row i using set i mod S; None where nothing is said."""
    if value is None:
        return None
    sets = one(value, "the number of sets")
    if sets < 1 or rows % sets:
        raise Mismatch(f"{sets} weight sets do not divide {rows} {what}", f"take a divisor of {rows}")
    return sets


@register
class Linear(Plain, Projection, AffineMap):
    """``lin(c, g=1, b=1)``: the same matrix for every token, ``(.., C) -> (.., c)``; default width that of its source.

    With ``sets=S`` token i (inside ``@T``: channel i) uses matrix i mod S of S; with ``fix=1`` the random numbers it
    starts with are kept. MACs: tokens * C * c / g.
    """

    name = "lin"
    sizes = {"c": None}
    sources = roles = ("x",)
    keywords = {"g": (1,), "b": (1,), "sets": None, "fix": None}
    counted = "tokens * C * c / g"

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("channels", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = field_of(sources[0], "the source of lin")
        c = x.channels if settings["c"] is None else one(settings["c"], "a width")
        g = one(settings["g"], "g")
        if c < 1 or g < 1 or x.channels % g or c % g:
            raise Mismatch(
                f"{g} groups do not divide {x.channels} -> {c} channels", f"g must divide both {x.channels} and {c}"
            )
        sets = sharing(settings["sets"], x.tokens, "tokens")
        sets = None if sets == 1 else sets  # one matrix for all tokens is what lin is
        if sets and g > 1:
            raise Mismatch("lin takes groups or sets, not both")
        fixed = frozen(settings["fix"])
        return Done(x._replace(channels=c), {"c": c, "g": g, "b": one(settings["b"], "b"), "sets": sets, "fix": fixed})

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        fan_in, c = t.inputs[0].channels // t.settings["g"], t.settings["c"]
        sets = (t.settings["sets"],) if t.settings["sets"] else ()
        trained = not t.settings["fix"]
        bias = (Weight("bias", (*sets, c), "fill", 0.0, trained),) if t.settings["b"] else ()
        return (Weight("weight", (*sets, c, fan_in), "normal", fan_in**-0.5, trained), *bias)

    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        s, x = t.settings, t.inputs[0]
        if s["fix"]:  # frozen numbers stay apart
            return None
        names, sets = ("weight", "bias"), s["sets"] or 1
        return Affine(
            self.name, self.spelled, names, (x.channels, s["c"]), s["g"], s["c"], x.grid, held(tensors), bool(s["b"]),
            sets=sets, pointwise=sets == 1,
        )  # fmt: skip

    def spelled(self, a: Affine, arguments: tuple[Node, ...]) -> Node:
        """How a projection is written."""
        width = () if a.channels[0] == a.channels[1] else (size(a.channels[1]),)
        options = {"g": a.groups, "sets": a.sets}
        keywords = {key: size(value) for key, value in options.items() if value > 1}
        return word(self.name, *width, *arguments, **keywords, **({} if a.bias else {"b": size(0)}))

    def macs(self, t: Typed) -> int:
        return t.out.tokens * t.settings["c"] * t.inputs[0].channels // t.settings["g"]

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import linear

        g, sets = t.settings["g"], t.settings["sets"]
        if g == 1 and not sets:
            return linear(x, w.weight, w.bias if t.settings["b"] else None)
        weight = w.weight if sets else w.weight.reshape(g, -1, w.weight.shape[-1])
        y = x.reshape(-1, len(weight), weight.shape[-1]).transpose(0, 1) @ weight.mT  # (sets or groups, tokens, width)
        y = y.transpose(0, 1)
        if sets:
            y = y + w.bias if t.settings["b"] else y
            return y.reshape(*x.shape[:-1], t.settings["c"])
        y = y.reshape(*x.shape[:-1], t.settings["c"])
        return y + w.bias if t.settings["b"] else y

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        g, sets = t.settings["g"], t.settings["sets"]
        if sets:
            rows = x.reshape(x.shape[0], -1, sets, x.shape[-1])
            y = torch.einsum("bnsi,soi->bnso", rows, w.weight)
            return (y + w.bias if t.settings["b"] else y).reshape(*x.shape[:-1], t.settings["c"])
        grouped = x.reshape(*x.shape[:-1], g, x.shape[-1] // g)
        y = torch.einsum("...gi,goi->...go", grouped, w.weight.reshape(g, -1, w.weight.shape[-1])).flatten(-2)
        return y + w.bias if t.settings["b"] else y


def bins(length: int, parts: int) -> list[tuple[int, int]]:
    """Ends of the parts of an axis in adaptive pooling; they may overlap by one where parts is no divisor."""
    return [(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]


@register
class Pool(Plain):
    """``pool(g)``: mean over cells to a grid of g; ``pool(/r)`` shrinks axes by r; ``pool(1)`` sees all tokens."""

    name = "pool"
    sizes = {"g": REQUIRED}
    sources = roles = ("x",)
    channelwise = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        axes = zip(t.settings["g"], t.inputs[0].grid, strict=True)
        return (tuple(None if old % new or new == 1 else Span(old // new, 0, old // new - 1) for new, old in axes),)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("tokens", "static", "convex")

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x, g = field_of(sources[0], "the source of pool"), settings["g"]
        if not isinstance(g, tuple):
            raise Mismatch(f"pool({g}): the new grid is whole", "write pool(7), pool(Hx1) or pool(/2)")
        if g[0] == "/":
            if any(length % g[1] for length in x.grid):
                raise Mismatch(f"pool(/{g[1]}) does not divide the grid {'x'.join(map(str, x.grid))}")
            grid = tuple(length // g[1] for length in x.grid)
        else:
            grid = per_axis(g, x.grid, "the grid of pool")
        if all(length == 1 for length in grid):
            return Done(Field(grid or (1,), x.channels), {"g": grid})
        if x.extra:
            raise Mismatch(
                f"pool to {'x'.join(map(str, grid))} needs tokens on a grid; {x.extra} extra stand in front",
                "pool(1) sees all tokens",
            )
        if any(new > old or new < 1 for new, old in zip(grid, x.grid, strict=True)):
            raise Mismatch(f"pool cannot enlarge the grid {'x'.join(map(str, x.grid))} to {'x'.join(map(str, grid))}")
        return Done(Field(grid, x.channels), {"g": grid})

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        if t.settings["g"] == t.inputs[0].grid and not t.inputs[0].extra:  # one token a cell
            return kids[0] if kids else X
        return super().written(t, kids)

    def elementwise(self, t: Typed) -> int:
        return elements(t.inputs[0])

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        source, grid = t.inputs[0], t.settings["g"]
        if t.out.tokens == 1:
            return (
                x.reshape(x.shape[0], source.tokens, source.channels)
                .mean(1)
                .reshape(x.shape[0], *t.out.grid, source.channels)
            )
        if any(old % new for new, old in zip(grid, source.grid, strict=True)):
            return self.dense(t, w, x)
        shape = [size for new, old in zip(grid, source.grid, strict=True) for size in (new, old // new)]
        return x.reshape(x.shape[0], *shape, source.channels).mean([2 + 2 * axis for axis in range(len(grid))])

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        source, grid = t.inputs[0], t.settings["g"]
        if t.out.tokens == 1:
            flat = x.reshape(x.shape[0], source.tokens, source.channels)
            return (flat.sum(1) / source.tokens).reshape(x.shape[0], *t.out.grid, source.channels)
        for axis, (new, old) in enumerate(zip(grid, source.grid, strict=True)):
            cells = [x.narrow(axis + 1, low, high - low).mean(axis + 1) for low, high in bins(old, new)]
            x = torch.stack(cells, axis + 1)
        return x
