"""Softmax attention where groups of tokens share their slots, as the blocks of HaloNet do: taken out once a group."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from metamixer.compile.plan import Path, Plan
from metamixer.compile.reads import Env, SourcesOf
from metamixer.compile.weights import Store, Ties
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, expect
from metamixer.language.checking.types import Score
from metamixer.words import supports
from metamixer.words.reads import table_of


class Grouped(nn.Module):
    """One scaled dot-product attention of every group of tokens over the slots of the group.

    Slots of zeros stand before softmax as others do; absent ones are masked.
    """

    slots: Tensor
    order: Tensor
    back: Tensor
    present: Tensor

    def __init__(self, t: Typed, chosen: Plan, path: Path, store: Store, ties: Ties) -> None:
        super().__init__()
        assert chosen.match is not None
        assert chosen.sum is not None
        self.t, self.match, self.total = t, chosen.match[1], chosen.sum[1]
        self.sources = SourcesOf(chosen, path, store, ties)
        score: Score = self.match.out
        # of numpy: the tables are known where nothing is computed, on meta, too
        rows, group = np.unique(np.asarray(table_of(score.parts[0], score)[0]), axis=0, return_inverse=True)
        order = group.reshape(-1).argsort(kind="stable")
        absent = rows < 0
        self.masked = bool(absent.any()) and supports.absents(score.parts[0].place or ())
        for name, value in (
            ("slots", rows.clip(min=0)),
            ("present", ~absent),
            ("order", order),
            ("back", order.argsort()),
        ):
            self.register_buffer(name, torch.as_tensor(value), persistent=False)

    def forward(self, x: Tensor, env: Env, state: None = None) -> Tensor:
        score: Score = self.match.out
        groups = len(self.slots)
        q, k, v = (flat.reshape(flat.shape[0], score.tokens, -1) for flat in self.sources(x, env))
        q = q[:, self.order].unflatten(1, (groups, -1))
        k, v = (memory[:, self.slots] * self.present.unsqueeze(-1).to(memory.dtype) for memory in (k, v))
        q, k, v = (part.flatten(0, 1).unflatten(-1, (score.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mask = self.present[:, None, None].repeat(x.shape[0], 1, 1, 1) if self.masked else None
        out = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=expect(self.match.word, Match).scale(self.match)
        )
        out = out.sum(1) if self.total.settings["summed"] else out.transpose(1, 2).flatten(2)
        out = out.unflatten(0, (-1, groups)).flatten(1, 2)[:, self.back]
        return out.reshape(out.shape[0], *score.grid, self.t.out.channels)

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"
