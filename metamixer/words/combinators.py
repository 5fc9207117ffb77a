"""Signs and words that put phrases together: sequence, sum, product, concatenation, split, residual, repetition."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, Evaluate, Rebinding, Spectral, WidthScope
from metamixer.language.checking.types import Bound, Context, Field, Mismatch, Number, Type, field_of
from metamixer.language.checking.vocabulary import Demand, Done, Form, KindOf, Plain, Word, neutral, one, register
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, chain, joined, size, total, walk, word_name
from metamixer.language.syntax.printer import text


def unplaced(ctx: Context, what: str) -> Context:
    """The context, refused if a support such as N(7) stands on a phrase that is no read."""
    if ctx.place is not None:
        raise Mismatch(
            f"a support such as {ctx.place[0].word} binds one read, not {what}",
            "write @ directly behind the read it belongs to",
        )
    return ctx


def sequence(kids: tuple[Node, ...]) -> Node:
    """Phrases in sequence without the neutral ones."""
    kept = [kid for kid in kids if kid is not X and not neutral(kid)]
    return chain(nodes.Sequence, kept) if kept else X


def added(signs: str, kids: tuple[Node, ...]) -> Node:
    """A sum in canonical order: inner sums opened, first what is added, then what is taken away, each sorted."""
    plus: list[Node] = []
    minus: list[Node] = []
    for sign, kid in zip(signs, kids, strict=True):
        inner = zip(kid.signs, kid.kids, strict=True) if isinstance(kid, nodes.Sum) else [("+", kid)]
        for inner_sign, term in inner:
            (plus if sign == inner_sign else minus).append(term)
    if not plus:
        return nodes.Sum(signs, kids)
    plus.sort(key=text)
    minus.sort(key=text)
    return total("+" * len(plus) + "-" * len(minus), plus + minus)


def elements(field: Type) -> int:
    """Number of values of a field or score for one input."""
    return 0 if isinstance(field, Number) else field.tokens * field.channels


def fit(value: Any, field: Type, out: Field) -> Any:
    """A tensor laid out so that it broadcasts over the tokens of ``out``."""
    if isinstance(field, Number):
        return field.value
    if out.extra:
        return value.reshape(value.shape[0], field.tokens, field.channels)
    if len(field.grid) != len(out.grid) or field.extra:
        return value.reshape(value.shape[0], *([1] * len(out.grid)), field.channels)
    return value


@register
class Sequence(Word, Combinator):
    """``a >> b``: b reads what a made."""

    name, form = ">>", Form.CHAIN

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return sequence(kids)

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            return Demand(0, unplaced(ctx, "a sequence"))
        x = field_of(done[-1])
        if len(done) == len(node.kids):
            return Done(x)
        return Demand(len(done), ctx._replace(x=x))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        for i in range(len(t.kids)):
            x = evaluate(i, x, env, None)
        return x


class Parallel(Word):
    """Phrases that all read the same input."""

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(done) < len(node.kids):
            return Demand(len(done), unplaced(ctx, f"the whole of {self.name}"))
        return Done(self.join(done, ctx))

    def join(self, parts: tuple[Type, ...], ctx: Context) -> Type:
        raise NotImplementedError


def _fields(parts: tuple[Type, ...], name: str) -> list[Field]:
    fields = [field_of(part) for part in parts if not isinstance(part, Number)]
    if not fields:
        raise Mismatch(f"{name} of numbers only is no field", "one of the terms must read the input")
    return fields


@register
class Sum(Parallel, Combinator):
    """``a + b - c``: equal types; a number adapts to anything."""

    name, form = "+", Form.SUM

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return added(t.signs, kids)

    def join(self, parts: tuple[Type, ...], ctx: Context) -> Type:
        fields = _fields(parts, "a sum")
        for other in fields[1:]:
            if other != fields[0]:
                raise Mismatch(
                    f"the terms of a sum differ: {fields[0]} and {other}",
                    "make widths and grids equal, for example with lin(..)",
                )
        return fields[0]

    def elementwise(self, t: Typed) -> int:
        return elements(t.out) * (len(t.kids) - 1)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        total = None
        for i, (sign, kid) in enumerate(zip(t.signs, t.kids, strict=True)):
            value = fit(evaluate(i, x, env, None), kid.out, t.out)
            total = value if total is None else total + value if sign == "+" else total - value
        return total


def broadcast(fields: list[Field]) -> Field:
    """The type of a product: axes equal or 1, widths equal or dividing the widest."""
    out = max(fields, key=lambda field: (field.tokens, field.channels))
    channels = max(field.channels for field in fields)
    for field in fields:
        same = len(field.grid) == len(out.grid) and field.extra == out.extra
        if not (
            field.tokens == 1
            or (
                same
                and all(a in (b, 1) for a, b in zip(field.grid, out.grid, strict=True))
                and (not out.extra or field.grid == out.grid)
            )
        ):
            raise Mismatch(f"a product of {field} and {out}: every axis must be equal or 1")
        if channels % field.channels:
            raise Mismatch(
                f"a product of {field.channels} and {channels} channels: the smaller width must divide the larger"
            )
    return out._replace(channels=channels, spectral=any(field.spectral for field in fields))


def multiply(values: list[Any], types: list[Type], out: Field) -> Any:
    """Product with group broadcast: a width that divides another serves contiguous channels alike."""
    result: Any = None
    for value, kind in zip(values, types, strict=True):
        if isinstance(kind, Number):
            factor: Any = kind.value
        else:
            factor = fit(value, kind, out)
            if kind.channels != out.channels:
                factor = factor.repeat_interleave(out.channels // kind.channels, -1)
        result = factor if result is None else result * factor
    return result


@register
class Product(Parallel, Combinator):
    """``a * b``: a gate; axes of length 1 and widths that divide the other broadcast."""

    name, form = "*", Form.PRODUCT

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        factors = [inner for kid in kids for inner in (kid.kids if isinstance(kid, nodes.Product) else (kid,))]
        return chain(nodes.Product, sorted(factors, key=text))

    def join(self, parts: tuple[Type, ...], ctx: Context) -> Type:
        return broadcast(_fields(parts, "a product"))

    def elementwise(self, t: Typed) -> int:
        return elements(t.out) * (len(t.kids) - 1)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        values = [evaluate(i, x, env, None) for i in range(len(t.kids))]
        return multiply(values, [kid.out for kid in t.kids], t.out)


@register
class Concatenation(Parallel, Combinator):
    """``a ++ b``: channels side by side."""

    name, form = "++", Form.CONCAT

    def join(self, parts: tuple[Type, ...], ctx: Context) -> Type:
        return beside([field_of(part) for part in parts], "++")

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        import torch

        return torch.cat([evaluate(i, x, env, None) for i in range(len(t.kids))], -1)


def beside(fields: list[Field], name: str) -> Field:
    """The type of fields whose channels stand side by side."""
    for field in fields[1:]:
        if (field.grid, field.extra) != (fields[0].grid, fields[0].extra):
            raise Mismatch(f"{name} needs equal grids, got {fields[0]} and {field}")
    return fields[0]._replace(channels=sum(field.channels for field in fields))


@register
class Split(Word, Combinator, Rebinding):
    """``[.25: a | b]``: each part reads its share of the channels; the results stand side by side."""

    name, form = "[]", Form.CONCAT

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        starts = t.settings["starts"]
        shares = [size(high - low) for low, high in pairwise(starts)]
        return nodes.Split((*zip(shares[:-1], kids[:-1], strict=True), (None, kids[-1])))

    def _kids(self, node: Node) -> tuple[list[int | None], list[int]]:
        """Index of each part's share (None where it takes the rest) and of its term."""
        shares: list[int | None] = []
        terms, position = [], 0
        assert isinstance(node, nodes.Split)
        for share, _ in node.parts:
            has_share = share is not None
            shares.append(position if has_share else None)
            terms.append(position + has_share)
            position += 1 + has_share
        return shares, terms

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        unplaced(ctx, "a split")
        shares, terms = self._kids(node)
        written = [share for share in shares if share is not None]
        if len(done) < len(written):
            return Demand(written[len(done)], ctx._replace(kind="size"))
        widths = self._widths(ctx.x.channels, shares, list(done[: len(written)]))
        outs = done[len(written) :]
        if len(outs) < len(terms):
            part = len(outs)
            x = ctx.x._replace(channels=widths[part])
            env = tuple((name, self._cut(bound, ctx.x, widths[part])) for name, bound in ctx.env)
            return Demand(terms[part], ctx.enter(x)._replace(env=env))
        starts = [sum(widths[:i]) for i in range(len(widths) + 1)]
        cut = tuple(name for name, bound in ctx.env if self._cut(bound, ctx.x, 0) is not bound)
        return Done(beside([field_of(out) for out in outs], "a split"), {"starts": tuple(starts), "cut": cut})

    def _cut(self, bound: Bound, x: Field, width: int) -> Bound:
        """A let value of the width of x is cut in the same shares; scores and other widths are not."""
        if bound.kind == "let" and isinstance(bound.type, Field) and bound.type.channels == x.channels:
            return bound._replace(type=bound.type._replace(channels=width))
        return bound

    def _widths(self, channels: int, shares: list[int | None], given: list[Any]) -> list[int]:
        widths: list[int | None] = []
        for share in shares:
            if share is None:
                widths.append(None)
                continue
            value = given.pop(0)
            width = value * channels if isinstance(value, float) else one(value, "a share")
            if abs(width - round(width)) > 1e-9 or round(width) < 1:
                raise Mismatch(f"the share {value} of {channels} channels is {width:g}, not a whole number")
            widths.append(round(width))
        rest, open_parts = channels - sum(width for width in widths if width), widths.count(None)
        if open_parts and (rest < open_parts or rest % open_parts):
            raise Mismatch(f"{rest} of {channels} channels are left for {open_parts} part(s) without a share")
        if not open_parts and rest:
            raise Mismatch(
                f"the shares add up to {channels - rest} of {channels} channels", "leave one share out: [.25: a | b]"
            )
        return [rest // open_parts if width is None else width for width in widths]

    def rebinds(self, t: Typed) -> bool:
        return True

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        import torch

        starts, cut = t.settings["starts"], t.settings["cut"]
        parts = []
        for i, (low, high) in enumerate(pairwise(starts)):
            inner = {name: value[..., low:high] if name in cut else value for name, value in env.items()}
            parts.append(evaluate(i, x[..., low:high], inner, None))
        return torch.cat(parts, -1)


def minds_scope(node: Node) -> bool:
    """Whether a phrase may have another meaning in another scope: the letter D, or ``up`` without a size."""
    return any((isinstance(part, nodes.Size) and "D" in part.text) or word_name(part) == "up" for part in walk(node))


class Scope(Plain, Combinator, WidthScope, Spectral):
    """A word around one term that is a scope for the letter ``D``."""

    sources = ("a",)
    form: ClassVar[Form] = Form.FRAME

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return joined(t.node, kids)

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(node.kids) != 1 or not isinstance(node, nodes.Word) or node.keys != (None,):
            raise Mismatch(f"{self.name} takes one term", f"write {self.name}(..)")
        if not done:
            return Demand(0, unplaced(ctx, f"all of {self.name}(..)").enter())
        return self.type(ctx, {}, done)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return evaluate(0, x, env, None)


@register
class Residual(Scope):
    """``res(e)`` is ``x + e``."""

    name, form = "res", Form.RESIDUAL

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return added("++", (X, kids[0]))

    def symbolic(self, node: Node) -> Node | None:
        return None if len(node.kids) != 1 or minds_scope(node.kids[0]) else added("++", (X, node.kids[0]))

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        out = field_of(sources[0])
        if out != ctx.x:
            raise Mismatch(f"res(..) adds its input, {ctx.x}, to {out}", "end with lin(D), or keep the grid")
        return Done(out)

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return x + evaluate(0, x, env, None)


@register
class Unit(Scope):
    """``unit(e)`` is ``e`` with a scope of its own."""

    name, bare_scope = "unit", True

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return kids[0]

    def symbolic(self, node: Node) -> Node | None:
        return None if len(node.kids) != 1 or minds_scope(node.kids[0]) else node.kids[0]

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(sources[0])


@register
class OnGrid(Scope, Rebinding):
    """``map(e)`` applies e to the tokens on the grid and passes the extra ones through."""

    name = "map"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        inner = super().step(node, ctx, done, kind_of)
        if isinstance(inner, Demand):
            env = tuple((name, self._cut(bound, ctx.x)) for name, bound in ctx.env)
            return inner._replace(context=inner.context._replace(x=ctx.x._replace(extra=0), env=env))
        return inner

    def _cut(self, bound: Bound, x: Field) -> Bound:
        """A let value on the same tokens loses its extra ones too."""
        if bound.kind == "let" and isinstance(bound.type, Field) and bound.type.extra == x.extra:
            return bound._replace(type=bound.type._replace(extra=0))
        return bound

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        out = field_of(sources[0])
        if out != ctx.x._replace(extra=0):
            raise Mismatch(f"map(..) keeps grid and width; inside it {ctx.x} became {out}")
        cut = tuple(name for name, bound in ctx.env if self._cut(bound, ctx.x) is not bound) if ctx.x.extra else ()
        return Done(ctx.x, {"cut": cut})

    def rebinds(self, t: Typed) -> bool:
        return bool(t.x.extra)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return super().written(t, kids) if t.x.extra else kids[0]

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        import torch

        extra = t.x.extra
        if not extra:
            return evaluate(0, x, env, None)
        grid = t.x._replace(extra=0)
        inner = {
            name: value[:, extra:].reshape(-1, *grid.grid, value.shape[-1]) if name in t.settings["cut"] else value
            for name, value in env.items()
        }
        out = evaluate(0, x[:, extra:].reshape(-1, *grid.grid, grid.channels), inner, None)
        return torch.cat([x[:, :extra], out.reshape(-1, grid.tokens, grid.channels)], 1)


class Repetition(Word, Combinator):
    """A phrase n times in sequence with fresh weights."""

    form = Form.REPEAT

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return sequence(kids)

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            return Demand(1, unplaced(ctx, "a repetition")._replace(kind="size"))
        count = one(done[0], "a count")
        if count < 0 or count > 1000:
            raise Mismatch(f"a count of {count}", "counts lie between 0 and 1000")
        x = ctx.x if len(done) == 1 else field_of(done[-1])
        if len(done) == count + 1:
            return Done(x)
        return Demand(0, ctx._replace(x=x))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        for i in range(len(t.kids)):
            x = evaluate(i, x, env, None)
        return x


@register
class Power(Repetition):
    """``e^n``: choices inside are drawn once."""

    name = "^"


@register
class Each(Repetition):
    """``each(e, n)``: choices inside are drawn anew for every copy."""

    name = "each"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not isinstance(node, nodes.Each):
            raise Mismatch("each takes a term and a count", "write each(block, {1..3})")
        return super().step(node, ctx, done, kind_of)
