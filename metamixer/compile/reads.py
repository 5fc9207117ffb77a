"""The modules of reads, one for each order of evaluation; those in chunks and in groups have files of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from metamixer.compile.plan import Path, Plan, needed
from metamixer.compile.weights import Store, Ties, Weights
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AdditiveBias, MarginalNormaliser, Match, expect
from metamixer.language.checking.types import Bank, Score
from metamixer.language.checking.vocabulary import place_word
from metamixer.words import supports
from metamixer.words.precision import widened
from metamixer.words.reads import table_of

Env = Mapping[str, Tensor]


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

    def __init__(self, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        (match_path, match), (sum_path, total) = chosen.match, chosen.sum
        found = [(match.kids[i], (*path, *match_path, i)) for i in (0, 1)] + [(total.kids[0], (*path, *sum_path, 0))]
        self.joint = store.joint(found)
        alone = [] if self.joint is not None else found
        self.parts = nn.ModuleList(store.make(kid, where, ties) for kid, where in alone)
        self.match = match
        self.bank = store.of(match, (*path, *match_path)) if isinstance(match.inputs[0], Bank) else None

    def forward(self, x: Tensor, env: Env) -> tuple[Tensor, ...]:
        if self.joint is not None:
            return self.joint.forward(x)
        q, k, v = (part(x, env) for part in self.parts)
        return (q if self.bank is None else expect(self.match.word, Match).queries(self.match, self.bank, q, k)), k, v


class FusedRead(nn.Module):
    """Softmax attention by scaled_dot_product_attention; a neighbourhood becomes a mask."""

    mask: Tensor | None

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
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
        self.needs = needed(self.match)

    def _mask(self, env: Env) -> Tensor | None:
        """Biases, and which slots are present; what is chosen while training is None in evaluation."""
        added = [
            expect(step.word, AdditiveBias).bias(step, weights)
            for step, weights in zip(self.added, self.biases, strict=True)
        ]
        mask = next((env[name] for name in self.needs), self.mask)
        if not added:
            return mask
        total: Tensor = sum(added[1:], added[0])
        return total if mask is None else total.masked_fill(~mask, float("-inf"))

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Tensor:
        score: Score = self.match.out
        q, k, v = heads_of(score, *self.sources(x, env))
        out = nn.functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self._mask(env),
            is_causal=self.causal,
            scale=expect(self.match.word, Match).scale(self.match),
        )
        return put_back(out, score, self.total)

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


class ValuesFirst(nn.Module):
    """A read whose normalisers need only sums of scores: U (W^T v) instead of (U W^T) v."""

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
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
        q = q * expect(self.match.word, Match).scale(self.match)
        if not self.between:
            return q @ (k.mT @ v)
        out: Tensor = expect(self.between[0].word, MarginalNormaliser).values_first(q, k, v)
        return out

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


class LookedUp(nn.Module):
    """A read of one slot a head, found without a match against the others; the heads are summed."""

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        (match_path, self.match), (sum_path, self.total) = chosen.match, chosen.sum
        self.t, self.counted = t, store.counted
        self.query = store.make(self.match.kids[0], (*path, *match_path, 0), ties)
        self.weights = store.of(self.total, (*path, *sum_path))

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Tensor:
        score: Score = self.match.out
        q = self.query(x, env)
        slot, weight = expect(self.match.word, Match).best(
            self.match, q.reshape(-1, score.heads, q.shape[-1] // score.heads)
        )
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
