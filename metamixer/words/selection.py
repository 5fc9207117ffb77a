"""Places that depend on the data: which slots a token has, or in which order tokens stand, follows from the input.

The choice itself has no gradient. A place is evaluated where its ``@`` stands and hands what it chose to the read (or
the view) inside; it chooses among the slots that supports to its right leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Concluding, Discontinuous, EnvironmentReader, PerHead, Truncating
from metamixer.language.checking.types import Bank, Context, Field, Mismatch, Place, Score, Type, field_of
from metamixer.language.checking.vocabulary import REQUIRED, Demand, Done, KindOf, Spans, on_grid, one, register
from metamixer.language.syntax.nodes import Node, size, word
from metamixer.words import supports
from metamixer.words.coefficients import largest, shortened
from metamixer.words.combinators import elements, sequence
from metamixer.words.places import Masking, Support
from metamixer.words.reads import absent, needs
from metamixer.words.supports import Ground, cells, tokens_of
from metamixer.words.views import View


def around(t: Typed) -> dict[str, Any]:
    """Which slots the supports to the right of a place leave, under the name that ``within`` looks for."""
    ground = (t.x.grid, t.x.extra)
    stack = supports.lasting(t.context.place)
    return {"left": supports.present(supports.table(stack, ground, ground, 1), tokens_of(ground))} if stack else {}


def within(table: Any, w: Any) -> Any:
    """An index tensor without the slots that supports to the right leave out."""
    if not hasattr(w, "left"):
        return table
    left = w.left.unsqueeze(0).expand(*table.shape[:2], table.shape[2], -1)
    return table.where(left.gather(-1, table.clamp(min=0)) & (table >= 0), -1)


@register
class Top(Support, PerHead, EnvironmentReader, Truncating, Discontinuous):
    """``-> top(n)``: the n largest scores of each token and head; ``@top(n,score)``: the n slots a score likes best.

    As a stage the other slots are absent: no normaliser behind it counts them, and their coefficient is 0. As a term
    the n largest channels of each token are kept, the others become 0 (MoH, arXiv 2410.11842).

    As a place without a score it is that stage behind the match of its read. A score is one of a query over keys, or a
    field with a channel for each slot; where its tokens or its slots are fewer, each stands for an equal part of the
    grid (or of the sequence in memory). It has one head, or as many as the read. Sources: BiFormer, arXiv 2303.08810;
    Sparsifiner, arXiv 2303.13755; LongHeads, arXiv 2402.10685.
    """

    name = "top"
    kinds: ClassVar[tuple[str, ...]] = ("term", "stage", "place")
    sizes = {"n": REQUIRED}
    sources = roles = ("score",)
    reads = True

    def headed(self, t: Typed) -> bool:
        return t.context.kind == "stage"

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    def kept(self, t: Typed) -> int | None:
        return int(t.settings["n"]) if t.context.kind == "stage" else None

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t) if t.context.kind == "stage" else ()

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        if t.context.kind == "place" or t.settings["n"] < t.settings["slots"]:
            return super().written(t, kids)
        return word("id") if t.context.kind == "stage" else sequence(kids)

    def chooses(self, place: Place) -> bool:
        return len(place.values) > 1

    def stage(self, place: Place) -> Node | None:
        return word(self.name, size(place.values[0])) if len(place.values) == 1 else None

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        slots = self.slots(node, ctx, kind_of) if ctx.kind == "place" else ()
        if len(slots) == len(done) == 1:  # by the scores of the read itself
            return Done((Place(self.name, (one(done[0], "the number of slots"),)),))
        return super().step(node, ctx, done, kind_of)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        if ctx.kind != "place":
            return shortened(sources[0], one(settings["n"], "the number of slots"), ctx)
        score, ground = sources[0], (ctx.x.grid, ctx.x.extra)
        if isinstance(score, Score):
            if len(score.parts) != 1 or score.parts[0].place:
                raise Mismatch("top chooses by scores over one memory, all of it", "write top(4, dot(lin,lin))")
            heads, slots, memory = score.heads, score.parts[0].number, score.parts[0].memory
        else:
            heads, slots, memory = 1, field_of(score, "the score of top").channels, None
        if memory is None:
            memory = ground if slots == tokens_of(ground) else ((slots,), 0)
        asks = (score.grid, score.extra)
        for coarse in (asks, memory):
            cells(ground, coarse, "top")
        n = one(settings["n"], "the number of slots")
        if not 1 <= n <= slots:
            raise Mismatch(f"top({n}) of {slots} slots")
        return Done((Place(self.name, (n, ground, asks, memory, heads)),), {"n": n})

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        if self.chooses(place) and not asks == memory == place.values[1]:
            raise Mismatch("top needs query and keys on the grid of x")

    def made_for(self, place: Place) -> int:
        return int(place.values[4]) if self.chooses(place) else 1

    def width(self, place: Place, memory: Ground) -> int:
        n, ground, _, coarse, _ = place.values
        return int(n * (tokens_of(ground) // tokens_of(coarse)))

    def elementwise(self, t: Typed) -> int:
        if t.context.kind != "place":
            return elements(t.out)
        _, _, asks, memory, heads = t.out[0].values
        return int(heads * tokens_of(asks) * tokens_of(memory))

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        if t.context.kind != "place":
            masked = absent(t.out) if isinstance(t.out, Score) and not t.out.as_field else None
            return {} if masked is None else {"absent": masked}
        _, ground, asks, memory, _ = t.out[0].values
        members = np.argsort(cells(ground, memory, "top"), kind="stable").reshape(tokens_of(memory), -1)
        return {"members": members, "rows": cells(ground, asks, "top"), **around(t)}

    def dense(self, t: Typed, w: Any, s: Any, chosen: Any = None) -> Any:
        if t.context.kind != "place":
            return largest(t, w, s, chosen)
        n, _, asks, memory, heads = t.out[0].values
        s, slots = s.detach(), tokens_of(memory)
        if s.ndim != 4 or not isinstance(t.inputs[0], Score) or t.inputs[0].as_field:
            s = s.reshape(s.shape[0], tokens_of(asks), heads, slots).transpose(1, 2)
        if hasattr(w, "left"):  # a part of the memory of which nothing is left is not chosen
            s = s[:, :, w.rows].masked_fill(~w.left[:, :, w.members].any(-1), float("-inf"))
            return within(w.members[s.topk(n, -1).indices].flatten(-2), w)
        return w.members[s.topk(n, -1).indices].flatten(-2)[:, :, w.rows]


@register
class Adjacency(Masking, Discontinuous):
    """``@adj``: the edges of a graph, where the input ``ctx(adj)`` is positive; ``@adj(score)``: where a phrase is.

    The input is a field on the grid of the tokens followed by that of the memory, with one channel or one a head. A
    phrase is such a field, a score over all tokens, or a field with a channel for each slot. Tokens without a slot read
    nothing: zeros. All slots count, as under other masks. Source: graph transformer, arXiv 2012.09699.
    """

    name = "adj"
    sources = roles = ("score",)

    def chooses(self, place: Place) -> bool:
        return True

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if node.kids:
            return super().step(node, ctx, done, kind_of)
        if not done:
            return Demand(word("ctx", word("adj")), ctx.source())
        return self.type(ctx, {}, done)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, ground = sources[0], (ctx.x.grid, ctx.x.extra)
        heads, slots, memory = 1, 0, ground
        if isinstance(score, Score) and len(score.parts) == 1 and not score.parts[0].place:
            heads, slots, memory = score.heads, score.slots, score.parts[0].memory or ground
        elif not isinstance(score, Score):
            slots = field_of(score, "the score of adj").channels
        asks = (score.grid, score.extra)
        if isinstance(score, Field) and score.grid == (*ctx.x.grid, *ctx.x.grid) and not ctx.x.extra:
            heads, slots, asks = score.channels, ctx.x.tokens, ground
        if slots != tokens_of(ground) or memory != ground or asks != ground:
            raise Mismatch(f"adj takes a number for each of {ctx.x.tokens} slots of {ctx.x.tokens} tokens, not {score}")
        return Done((Place(self.name, (ground, heads)),))

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        if not asks == memory == place.values[0]:
            raise Mismatch("adj needs query and keys on the grid of x")

    def made_for(self, place: Place) -> int:
        return int(place.values[1])

    def elementwise(self, t: Typed) -> int:
        return elements(t.inputs[0])

    def constants(self, t: Typed) -> Mapping[str, Any]:
        return around(t)

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        (_, heads), tokens = t.out[0].values, t.x.tokens
        if isinstance(t.inputs[0], Field) and t.inputs[0].tokens > tokens:  # a token for each pair
            s = s.reshape(s.shape[0], tokens, tokens, heads).permute(0, 3, 1, 2)
        elif not isinstance(t.inputs[0], Score) or t.inputs[0].as_field:
            s = s.reshape(s.shape[0], tokens, heads, tokens).transpose(1, 2)
        present = s.detach() > 0
        return present & w.left if hasattr(w, "left") else present


@register
class RandomKeys(Masking, Concluding):
    """``@rand(p)``: while training every sample sees a random share p of the keys; in evaluation all of them.

    Source: information pathways, SSA, arXiv 2306.01705.
    """

    name, trains = "rand", True
    sizes = {"p": REQUIRED}
    sources = roles = ("x",)

    def chooses(self, place: Place) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        share = settings["p"]
        if not isinstance(share, float) or not 0 < share <= 1:
            raise Mismatch("rand takes a share of the keys, a number from above 0 to 1", "write rand(.25)")
        if sources[0] != ctx.x:
            raise Mismatch("rand takes a share and nothing else")
        return Done((Place("rand", (share,)),) if share < 1 else (), {"p": share})

    def conclude(self, t: Typed) -> Typed:
        if t.kids[0].word.form != "input":
            raise Mismatch("rand takes a share and nothing else", "write rand(.25)")
        return t

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return None

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        if not w.training:
            return None
        number = max(1, round(t.settings["p"] * t.x.tokens))
        kept = torch.rand(x.shape[0], t.x.tokens, device=x.device).topk(number, -1).indices
        mask = torch.zeros(x.shape[0], t.x.tokens, dtype=torch.bool, device=x.device)
        return mask.scatter(-1, kept, True)[:, None, None]


def centres(source: Type, x: Field, what: str) -> Field:
    """The field of centres that tokens are compared with."""
    if isinstance(source, Bank):
        raise Mismatch(f"the centres of {what} are a value", f"bind them: let c = #16 in att(..)@{what}(c)")
    field = field_of(source, f"the centres of {what}")
    if field.channels != x.channels:
        raise Mismatch(f"{what} compares {x.channels} channels with centres of {field.channels}")
    if field.tokens < 2:
        raise Mismatch(f"{what} needs at least two centres")
    return field


def likeness(x: Any, c: Any) -> Any:
    """Cosine of every token with every centre, (B, tokens, centres)."""
    from torch.nn.functional import normalize

    tokens, middle = (normalize(value.detach().flatten(1, -2), dim=-1) for value in (x, c))
    return tokens @ middle.expand(tokens.shape[0], -1, -1).mT


@register
class Clusters(Support, Discontinuous):
    """``@clus(c,n,q,k)``: a token reads the n keys most alike (by cosine) to the centre that its query is most like.

    Queries and keys of the comparison are those of x unless given. MACs: tokens * centres * C for each of the two
    (once, if both are x). In the Routing Transformer (arXiv 2003.05997) a centre also takes only its n best queries.
    """

    name, foresees = "clus", True
    counted = "tokens * centres * C, twice unless queries and keys are both x"
    sizes = {"n": REQUIRED}
    sources = roles = ("c", "q", "k")

    def chooses(self, place: Place) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n, ground = one(settings["n"], "the number of keys"), (ctx.x.grid, ctx.x.extra)
        for source in sources[1:]:
            field = field_of(source, "what clus compares")
            centres(sources[0], field, self.name)
            if (field.grid, field.extra) != ground:
                raise Mismatch(f"clus compares tokens of {ctx.x}, not {field}")
        if not 1 <= n <= ctx.x.tokens:
            raise Mismatch(f"clusters of {n} keys out of {ctx.x.tokens}")
        return Done((Place(self.name, (n, ground)),), {"n": n})

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        if not asks == memory == place.values[1]:
            raise Mismatch("clus needs query and keys on the grid of x")

    def width(self, place: Place, memory: Ground) -> int:
        return int(place.values[0])

    def macs(self, t: Typed) -> int:
        c, q, _ = t.inputs
        compared = 1 if t.kids[1] is t.kids[2] else 2
        return int(compared * q.tokens * c.tokens * c.channels)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        return around(t)

    def dense(self, t: Typed, w: Any, c: Any, q: Any, k: Any) -> Any:
        keys = likeness(k, c)
        queries = keys if t.kids[1] is t.kids[2] else likeness(q, c)
        members = keys.mT.topk(t.settings["n"], -1).indices  # (B, centres, n)
        nearest = queries.argmax(-1, keepdim=True).expand(-1, -1, members.shape[-1])
        return within(members.gather(1, nearest).unsqueeze(1), w)


@register
class Sorted(View, Discontinuous):
    """``@sort(c)``: the operand sees the tokens in one sequence, those of one centre (the likest by cosine) together.

    Within a centre the order of memory is kept. MACs: tokens * centres * C.
    Source: CATANet, arXiv 2503.06896.
    """

    name, ordered = "sort", False
    counted = "tokens * centres * C"
    sources = roles = ("c", "x")

    def chooses(self, place: Place) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[1], "what sort compares"), "sort")
        centres(sources[0], x, self.name)
        if x.grid != ctx.x.grid:
            raise Mismatch(f"sort compares tokens of {ctx.x}, not {x}")
        return Done((Place(self.name),))

    def macs(self, t: Typed) -> int:
        c, x = t.inputs
        return int(x.tokens * c.tokens * c.channels)

    def dense(self, t: Typed, w: Any, c: Any, x: Any) -> Any:
        return likeness(x, c).argmax(-1).argsort(dim=-1, stable=True)

    def inner(self, field: Field, place: Place) -> Field:
        return Field((on_grid(field, "sort").tokens,), field.channels)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        if on_grid(out, "the result inside sort").tokens != field.tokens:
            raise Mismatch(f"inside sort {field.tokens} tokens became {out}")
        return field._replace(channels=out.channels)

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        return (None,) * len(field.grid)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None

    def enter(self, value: Any, field: Field, place: Place, dense: bool, order: Any = None) -> Any:
        tokens = value.flatten(1, -2)
        return tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool, order: Any = None) -> Any:
        tokens = value.flatten(1, -2)
        back = order.argsort(-1).unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        return tokens.gather(1, back).unflatten(1, field.grid)
