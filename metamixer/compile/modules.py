"""The modules that networks are made of: one for any word, one for each order of evaluation of a read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from metamixer.compile.inputs import check_further, check_tensor, shape_of
from metamixer.compile.plan import Path, Plan, plan
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Bank, Score
from metamixer.language.checking.vocabulary import Weight, place_word
from metamixer.words import supports
from metamixer.words.precision import widened
from metamixer.words.reads import table_of

Env = Mapping[str, Tensor]


class Weights(nn.Module):
    """The tensors that one occurrence of a word owns. Tied occurrences hold the same object."""

    def __init__(self, weights: tuple[Weight, ...], constants: Mapping[str, Any]) -> None:
        super().__init__()
        for weight in weights:
            if weight.init == "fill":
                value = torch.full(weight.shape, weight.value)
            else:  # truncated at two deviations
                value = nn.init.trunc_normal_(
                    torch.empty(weight.shape), std=weight.value, a=-2 * weight.value, b=2 * weight.value
                )
            if weight.trained:
                self.register_parameter(weight.name, nn.Parameter(value))
            else:
                self.register_buffer(weight.name, value)
        for name, table in constants.items():
            self.register_buffer(name, torch.as_tensor(table), persistent=False)


class Joint(nn.Module):
    """The projections of one input that run as one matrix product; each occurrence owns some of the rows."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, owned: list[Weights]) -> None:
        super().__init__()
        states = [weights.state_dict() for weights in owned]
        self.rows = [len(state["weight"]) for state in states]
        self.weight = nn.Parameter(torch.cat([state["weight"] for state in states]))
        self.bias = nn.Parameter(torch.cat([state["bias"] for state in states])) if "bias" in states[0] else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return nn.functional.linear(x, self.weight, self.bias).split(self.rows, -1)


class Share:
    """One occurrence's rows of a ``Joint``; to the outside it is as ``Weights`` are."""

    def __init__(self, joint: Joint, index: int) -> None:
        self.joint, self.start, self.stop = joint, sum(joint.rows[:index]), sum(joint.rows[: index + 1])

    @property
    def weight(self) -> Tensor:
        return self.joint.weight[self.start : self.stop]

    @property
    def bias(self) -> Tensor | None:
        return None if self.joint.bias is None else self.joint.bias[self.start : self.stop]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        yield "weight", self.weight
        if self.bias is not None:
            yield "bias", self.bias

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return iter(())

    def state_dict(self, keep_vars: bool = False) -> dict[str, Tensor]:
        """The rows, as views: what is copied into them arrives in the network."""
        return {name: value if keep_vars else value.detach() for name, value in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(state[name])


class Store:
    """All weights of a network by the path of their occurrence: a second use of a tied name finds the tensors of
    the first. ``counted`` asks for modules in which every counted product runs through a kernel that torch's
    counter knows at its true size.
    """

    def __init__(self, counted: bool = False) -> None:
        self.weights: dict[Path, Weights | Share] = {}
        self.joints: dict[tuple[Path, ...], Joint] = {}
        self.counted = counted

    def joint(self, found: list[tuple[Typed, Path]]) -> Joint | None:
        """One matrix for projections of the same input, unless some of them already has its own (tied reads)."""
        paths = tuple(path for _, path in found)
        if paths not in self.joints:
            biased = {bool(t.settings["b"]) for t, _ in found if _projects_x(t)}
            if not all(_projects_x(t) for t, _ in found) or len(biased) > 1 or any(p in self.weights for p in paths):
                return None
            joint = self.joints[paths] = Joint([Weights(t.word.weights(t), {}) for t, _ in found])
            self.weights |= {path: Share(joint, i) for i, path in enumerate(paths)}
        return self.joints[paths]

    def of(self, t: Typed, path: Path) -> Weights | Share:
        weights, constants = t.word.weights(t), t.word.constants(t)
        if path not in self.weights:
            self.weights[path] = Weights(weights, constants)
        return self.weights[path]


class Part(nn.Module):
    """Any word: a combinator asks its parts, a leaf computes its kernel from its sources.

    Attributes:
        drop: chance that a sample leaves out a part while training, by the part's index (stochastic depth).
    """

    def __init__(self, t: Typed, path: Path, store: Store, ties: Mapping[str, Path]) -> None:
        super().__init__()
        self.t = t
        self.stage = t.context.kind == "stage"
        self.drop: dict[int, float] = {}
        self.parts = nn.ModuleList(make(kid, where, store, names) for kid, where, names in kids_of(t, path, ties))
        self.plain = tuple(kid.word.form == "input" for kid in t.kids)
        self.leaf = _is_leaf(t)
        self.weights = store.of(t, path) if self.leaf else None
        self.needs = t.word.needs(t)

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Any:
        t = self.t
        parts = tuple(self._modules["parts"]._modules.values())  # type: ignore[union-attr]  # by attribute it is slow
        if not self.leaf:
            drop = self.drop if self.training else {}

            def evaluate(i: int, x: Tensor, env: Env, state: Any) -> Any:
                value = parts[i](x, env, state)
                return dropped(value, drop[i]) if i in drop else value

            return t.word.run(t, evaluate, x, env, state, False)
        sources = [x if plain else part(x, env) for plain, part in zip(self.plain, parts, strict=True)]
        inputs = (state, *sources) if self.stage else sources
        weights = self._modules.get("weights") or self.weights  # a share of joint weights is no module
        return t.word.apply(t, weights, *inputs, *[env[name] for name in self.needs])

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


def dropped(x: Tensor, rate: float) -> Tensor:
    """Each sample zero at this rate, else divided by the chance of being kept."""
    if not rate:
        return x
    kept = torch.rand(x.shape[0], *([1] * (x.ndim - 1)), device=x.device) >= rate
    return x * kept.to(x.dtype) / (1 - rate)


def heads_of(score: Score, *fields: Tensor) -> Iterator[Tensor]:
    """Fields as (B, heads, tokens or slots, channels of a head)."""
    for x in fields:
        yield x.reshape(x.shape[0], -1, score.heads, x.shape[-1] // score.heads).transpose(1, 2)


def put_back(out: Tensor, score: Score, total: Typed) -> Tensor:
    """The results of the heads, (B, heads, tokens, channels of a head), as a field."""
    out = out.sum(1) if total.settings["summed"] else out.transpose(1, 2)
    out = out.reshape(out.shape[0], score.tokens, total.out.channels)
    return out if score.extra else out.reshape(out.shape[0], *score.grid, total.out.channels)


class SourcesOf(nn.Module):
    """Query, keys and values of a read; projections of one input run as one matrix product."""

    def __init__(self, chosen: Plan, path: Path, store: Store, ties: Mapping[str, Path]) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        (match_path, match), (sum_path, total) = chosen.match, chosen.sum
        found = [(match.kids[i], (*path, *match_path, i)) for i in (0, 1)] + [(total.kids[0], (*path, *sum_path, 0))]
        self.joint = store.joint(found)
        alone = [] if self.joint is not None else found
        self.parts = nn.ModuleList(make(kid, where, store, ties) for kid, where in alone)
        self.match = match
        self.bank = store.of(match, (*path, *match_path)) if isinstance(match.inputs[0], Bank) else None

    def forward(self, x: Tensor, env: Env) -> tuple[Tensor, ...]:
        if self.joint is not None:
            return self.joint.forward(x)
        q, k, v = (part(x, env) for part in self.parts)
        return (q if self.bank is None else self.match.word.queries(self.match, self.bank, q, k)), k, v


class FusedRead(nn.Module):
    """Softmax attention by scaled_dot_product_attention; a neighbourhood becomes a mask."""

    mask: Tensor | None

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Mapping[str, Path]) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        self.t, self.match, self.total = t, chosen.match[1], chosen.sum[1]
        self.sources = SourcesOf(chosen, path, store, ties)
        self.added = [step for _, step in chosen.between[:-1]]
        self.biases = nn.ModuleList(cast("Weights", store.of(s, (*path, *where))) for where, s in chosen.between[:-1])
        part = self.match.out.parts[0]
        mask = None
        self.causal = bool(part.place) and all(place_word(place).prefix for place in part.place or ())
        if part.place is not None and part.memory is not None and not self.causal:
            tokens = supports.tokens_of(part.memory)
            mask = torch.as_tensor(supports.present(table_of(part, self.match.out), tokens))[None]
        self.register_buffer("mask", mask, persistent=False)
        self.needs = self.match.word.needs(self.match)

    def _mask(self, env: Env) -> Tensor | None:
        """Biases, and which slots are present; what is chosen while training is None in evaluation."""
        added = [step.word.bias(step, weights) for step, weights in zip(self.added, self.biases, strict=True)]
        mask = next((env[name] for name in self.needs), self.mask)
        if not added:
            return mask
        total: Tensor = sum(added[1:], added[0])
        return total if mask is None else total.masked_fill(~mask, float("-inf"))

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Tensor:
        score: Score = self.match.out
        q, k, v = heads_of(score, *self.sources(x, env))
        out = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=self._mask(env), is_causal=self.causal, scale=self.match.word.scale(self.match)
        )
        return put_back(out, score, self.total)

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


class ValuesFirst(nn.Module):
    """A read whose normalisers need only sums of scores: U (W^T v) instead of (U W^T) v."""

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Mapping[str, Path]) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        self.t, self.match, self.total = t, chosen.match[1], chosen.sum[1]
        self.between = [step for _, step in chosen.between]
        self.sources = SourcesOf(chosen, path, store, ties)

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Tensor:
        score: Score = self.match.out
        q, k, v = heads_of(score, *self.sources(x, env))
        out = widened(self.summed, q, k, v).to(v.dtype)  # sums over all slots exceed half precision
        return put_back(out, score, self.total)

    def summed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The sums over values, values first."""
        q = q * self.match.word.scale(self.match)
        out: Tensor = self.between[0].word.values_first(q, k, v) if self.between else q @ (k.mT @ v)
        return out

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


class LookedUp(nn.Module):
    """A read of one slot a head, found without a match against the others; the heads are summed."""

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Mapping[str, Path]) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        (match_path, self.match), (sum_path, self.total) = chosen.match, chosen.sum
        self.t, self.counted = t, store.counted
        self.query = make(self.match.kids[0], (*path, *match_path, 0), store, ties)
        self.weights = store.of(self.total, (*path, *sum_path))

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Tensor:
        score: Score = self.match.out
        q = self.query(x, env)
        slot, weight = self.match.word.best(self.match, q.reshape(-1, score.heads, q.shape[-1] // score.heads))
        rows = slot + torch.arange(score.heads, device=q.device) * score.slots
        values: Any = self.weights.values0.flatten(0, 1)  # type: ignore[union-attr,operator]
        weight = weight.to(values.dtype)
        if self.counted:
            out = (weight.unsqueeze(1) @ values[rows]).squeeze(1)
        else:
            out = nn.functional.embedding_bag(rows, values, per_sample_weights=weight, mode="sum")
        if self.total.settings["b"]:
            out = out + self.weights.bias
        return out.reshape(*q.shape[:-1], out.shape[-1])

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


READS: dict[str, Callable[..., nn.Module]] = {
    "fused": FusedRead,
    "masked": FusedRead,
    "values first": ValuesFirst,
    "looked up": LookedUp,
}


def make(t: Typed, path: Path, store: Store, ties: Mapping[str, Path]) -> nn.Module:
    """The module of one occurrence."""
    if t.word.form == "read":
        from metamixer.compile.chunks import Chunked
        from metamixer.compile.groups import Grouped

        chosen = plan(t)
        if chosen.order == "chunked":
            return Chunked(t, chosen, path, store, ties)
        if chosen.order == "grouped":
            return Grouped(t, chosen, path, store, ties)
        if chosen.order in READS and not (store.counted and chosen.order == "masked"):
            return READS[chosen.order](t, chosen, path, store, ties)
    return Part(t, path, store, ties)


def kids_of(t: Typed, path: Path, ties: Mapping[str, Path]) -> list[tuple[Typed, Path, Mapping[str, Path]]]:
    """Each sub-phrase with the path of its weights and the tied names it sees."""
    if t.word.form == "tie":
        ties = {**ties, t.settings["name"]: (*path, -1)}
    elif t.word.form == "tied":  # a use: its weights lie with the binding
        return [(kid, ties[t.settings["name"]], ties) for kid in t.kids]
    return [(kid, (*path, i), ties) for i, kid in enumerate(t.kids)]


def _projects_x(t: Typed) -> bool:
    """Whether an occurrence is a plain projection of x itself."""
    plain = t.word.projection and t.settings["g"] == 1 and not t.settings["sets"]
    return plain and not t.settings["fix"] and t.kids[0].word.form == "input"


def _is_leaf(t: Typed) -> bool:
    from metamixer.language.checking.vocabulary import Word

    return type(t.word).run is Word.run


class Network(nn.Module):
    """The module of a whole sentence, (B, *grid, channels) -> (B, *grid', channels'); it may take further inputs.

    Attributes:
        typed: the checked sentence.
        store: weights by the path of their occurrence; the dense reference reads them there.
    """

    def __init__(self, t: Typed, counted: bool = False) -> None:
        super().__init__()
        self.typed = t
        self.store = Store(counted)
        self.body = make(t, (), self.store, {})
        self.takes = shape_of(t.x)
        self.reads = read_by(t) if t.further else frozenset()

    def check_inputs(self, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None) -> Mapping[str, Tensor]:
        """Further inputs by name.

        Raises:
            InputError: a tensor has not the shape that the network was built for.
        """
        check_tensor(x, self.takes, "the input")
        further, given = self.typed.further, named(context)
        if further or given:
            check_further(x, given, further, self.reads)
        return given

    def forward(self, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None) -> Tensor:
        return self.body(x, self.check_inputs(x, context))


def read_by(t: Typed) -> frozenset[str]:
    """The further inputs that a sentence reads."""
    if t.word.form == "bound":
        return frozenset((t.settings["name"],)) & t.further.keys()
    return frozenset().union(*(read_by(kid) for kid in t.kids))


def named(context: Tensor | Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
    """Further inputs by name; a tensor alone is ``ctx``."""
    return {} if context is None else {"ctx": context} if isinstance(context, Tensor) else context
