"""Reads of what came before, in chunks: products of scores within a chunk, a running sum over the chunks before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from metamixer.compile.plan import Path, Plan, chunk
from metamixer.compile.reads import Env, SourcesOf, put_back
from metamixer.compile.weights import Store, Ties
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Fading, Match, RowNormaliser, expect
from metamixer.language.checking.types import Score
from metamixer.words.precision import widened


class Chunked(nn.Module):
    """A causal read whose scores fade with distance at a fixed rate, or not at all: linear in the tokens.

    With chunks of c tokens, c x c scores are formed within each; what the chunks before contribute is kept as one
    matrix (channels of a key x channels of a value) a head. Source: Lightning Attention, arXiv 2401.04658;
    docs/algebra.md#values-first says for which stages it is the same sum.
    """

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        self.t, self.match, self.total = t, chosen.match[1], chosen.sum[1]
        self.sources = SourcesOf(chosen, path, store, ties)
        self.size = chunk(self.match)
        stages = [step for _, step in chosen.between]
        fading = [step.word.fades(step) for step in stages if isinstance(step.word, Fading)]
        self.last = [step.word for step in stages if isinstance(step.word, RowNormaliser)]
        self.rates = [sum(rates) for rates in zip(*fading, strict=True)]

    def forward(self, x: Tensor, env: Env, state: None = None) -> Tensor:
        score: Score = self.match.out
        sources = self.sources(x, env)
        rest = -score.tokens % self.size
        q, k, v = (
            pad(flat.reshape(flat.shape[0], -1, score.heads, flat.shape[-1] // score.heads), (0, 0, 0, 0, 0, rest))
            .unflatten(1, (-1, self.size))
            .movedim(3, 1)
            for flat in sources
        )  # (B, heads, chunks, tokens of a chunk, channels of a head)
        out = widened(self.summed, q, k, v).to(v.dtype)
        return put_back(out.flatten(2, 3)[:, :, : score.tokens], score, self.total)

    def summed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The sums over values, within chunks and from those before."""
        q = q * expect(self.match.word, Match).scale(self.match)
        near = (q @ k.mT).tril()
        if self.rates:
            rates = torch.tensor(self.rates, dtype=q.dtype, device=q.device).reshape(-1, 1, 1, 1)
            at = torch.arange(self.size, dtype=q.dtype, device=q.device)
            near = near * torch.exp(-rates * (at[:, None] - at).clamp(min=0))
            k = k * torch.exp(-rates * (self.size - 1 - at)[:, None])
            q = q * torch.exp(-rates * (at + 1)[:, None])
        out = near @ v + q @ self.before(k.mT @ v)
        for word in self.last:
            keys = self.before(k.sum(-2, keepdim=True))
            out = word.by_rows(out, near.sum(-1, keepdim=True) + (q * keys).sum(-1, keepdim=True))
        return out

    def before(self, made: Tensor) -> Tensor:
        """The sum, faded, of what the chunks before each chunk made: (B, heads, chunks, .., ..)."""
        if not self.rates:
            return made.cumsum(2) - made
        carry = torch.exp(-self.size * torch.tensor(self.rates, dtype=made.dtype, device=made.device))[:, None, None]
        kept = [torch.zeros_like(made[:, :, 0])]
        for i in range(made.shape[2] - 1):
            kept.append(kept[-1] * carry + made[:, :, i])
        return torch.stack(kept, 2)

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"
