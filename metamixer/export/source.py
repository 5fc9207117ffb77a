"""`model.py`: a checked sentence and its compiled modules as plain torch source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import nn

from metamixer.compile.modules import Network, Part
from metamixer.compile.reads import FusedRead, ValuesFirst
from metamixer.export.operators import fitted, heads, linear_member, operator, refuse, times
from metamixer.export.writer import Held, Module, NoSourceError, Writer, Written
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, expect
from metamixer.language.checking.types import Field
from metamixer.language.checking.vocabulary import Macro, place_word
from metamixer.words.partitions import Partition, Segments, Transposed
from metamixer.words.views import View

HEADER = '''"""{doc}

Written by metamixer {version}; needs torch alone. The weights: model.safetensors.
"""

import torch
import torch.nn.functional as F
from torch import nn
'''

HELPERS = {
    "BatchNorm": '''class BatchNorm(nn.BatchNorm1d):
    """Batch norm of channels-last fields, over all but the last axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)
''',
}


@dataclass(frozen=True)
class Source:
    """The text of `model.py`, and the network's tensor behind each name of its `state_dict`."""

    text: str
    tensors: Mapping[str, Held]


def source(net: Network) -> Source:
    """Plain torch source that computes what ``net`` does on images (B, C, *grid).

    Raises:
        NoSourceError: a word, or a use of it, has none.
    """
    from metamixer import __version__

    t, module = net.typed, Module()
    if t.further:
        raise refuse(t, "with further inputs")
    w = Writer(module)
    w.assign("x", "x.movedim(1, -1)")
    out = top(w, t, net.body)
    _check_ties(t, w)
    result = f"{out}.flatten(1)" if t.out.tokens == 1 else out if t.out.extra else f"{out}.movedim(-1, 1)"
    shape = ", ".join(map(str, (t.x.channels, *t.x.grid)))
    body = w.body(result, f"Images (B, {shape}) to the sentence's result.")
    name = module.add("Model", body)
    parts = [HEADER.format(doc=t.text.replace("\\", "\\\\").replace('"""', "'''"), version=__version__)]
    parts += [HELPERS[helper] for helper in sorted(module.helpers)]
    parts += [f"class {called}(nn.Module):\n{text}" for text, called in module.classes.items()]
    assert name == "Model"
    return Source("\n\n".join(parts), w.tensors)


def _check_ties(t: Typed, w: Writer) -> None:
    """Tied weights must be one parameter: in two classes they would be two.

    Raises:
        NoSourceError: a tensor has two names.
    """
    seen = {
        (held.tensor.data_ptr(), held.tensor.shape) for held in w.tensors.values() if held.tensor.is_floating_point()
    }
    if len(seen) < sum(held.tensor.is_floating_point() for held in w.tensors.values()):
        raise NoSourceError("tie", t.text, "across blocks")


def top(w: Writer, t: Typed, module: Any) -> str:
    """The body of a class: a sequence goes on in ``x``."""
    if t.word.form in ("chain", "repeat"):
        return _in_turn(w, t, module, "x", {}, "x")
    return emit(w, t, module, "x", {})


Env = Mapping[str, str]


def emit(w: Writer, t: Typed, module: Any, x: str, env: Env, state: str | None = None) -> str:
    """The expression of an occurrence; what it needs before is stated ahead. ``x`` and ``state`` are names."""
    if isinstance(module, FusedRead | ValuesFirst):
        return _attention(w, module, x, env)
    if not isinstance(module, Part):
        raise refuse(t, f"in this order of evaluation ({type(module).__name__})")
    kids = list(zip(t.kids, module.parts, strict=True))
    if isinstance(t.word, Macro):
        return emit(w, *kids[0], x, env, state)
    if t.word.form in FORMS:
        return FORMS[t.word.form](w, t, module, x, env)
    if module.combinator is not None:
        if t.word.name == "unit" or t.word.form in ("tie", "tied"):
            return emit(w, *kids[0], x, env)
        if t.word.name == "map" and not t.settings["cut"]:
            return _on_grid(w, t, module, x, env)
        raise refuse(t)
    if module.needs:
        raise refuse(t, "of slots that are chosen")
    write = operator(t)
    args = [emit(w, kid, part, x, env) for kid, part in kids if kid.word.name != "#"]
    if module.stage:
        assert state is not None
        args.insert(0, state)
    return write(w, t, module.weights, args)


def _separate(w: Writer, t: Typed, module: nn.Module, base: str, write: Callable[[Writer], str]) -> Written:
    """A phrase as a class of its own."""
    inner = Writer(w.module)
    result = write(inner)
    text = t.text.replace("\\", "\\\\").replace('"""', "'''")
    return Written(w.module.add(base, inner.body(result, text if len(text) < 100 else f"{text[:96]}..")), inner.tensors)


def _closed(t: Typed, env: Env) -> bool:
    """Whether a phrase uses none of the names that are bound outside of it."""
    return not env or not _used(t) & env.keys()


def _used(t: Typed) -> set[str]:
    mine = {t.settings["name"]} if t.word.form == "bound" else set()
    return mine.union(*(_used(kid) for kid in t.kids))


def _in_turn(w: Writer, t: Typed, module: Part, x: str, env: Env, own: str | None = None) -> str:
    """A sequence or a repetition, its value in a name of its own; the last phrase is left as an expression."""
    if t.word.form == "repeat" and len(t.kids) > 1 and _closed(t, env) and any(True for _ in module.parameters()):
        return _repeated(w, t, module, x, own)
    value, name = x, own
    for i, (kid, part) in enumerate(zip(t.kids, module.parts, strict=True)):
        if kid.word.form in ("chain", "repeat") and isinstance(part, Part):
            name = name or w.variable("y")
            value = _in_turn(w, kid, part, value, env, name if value == name or value == x == own else None)
        else:
            value = emit(w, kid, part, value, env)
        if i < len(t.kids) - 1 and not value.isidentifier():
            name = name or w.variable("y")
            w.assign(name, value)
            value = name
    return value


def _repeated(w: Writer, t: Typed, module: Part, x: str, own: str | None) -> str:
    """Blocks in a list, and a loop over them."""
    written = [
        _separate(w, kid, part, "Block", lambda inner, kid=kid, part=part: top(inner, kid, part))  # type: ignore[misc]
        for kid, part in zip(t.kids, module.parts, strict=True)
    ]
    names = [block.name for block in written]
    alike = len(set(names)) == 1
    listed = f"{names[0]}() for _ in range({len(names)})" if alike else ", ".join(f"{name}()" for name in names)
    tensors = {f"{i}.{name}": held for i, block in enumerate(written) for name, held in block.tensors.items()}
    blocks = w.member("blocks", f"nn.ModuleList([{listed}])", tensors)
    name = own or w.variable("y")
    w.assign(name, x)
    w.forward += [f"for block in {blocks}:", f"    {name} = block({name})"]
    return name


def _chain(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    return _in_turn(w, t, module, x, env)


def _residual(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    return f"({x} + {emit(w, t.kids[0], module.parts[0], x, env)})"


def _terms(w: Writer, t: Typed, module: Part, x: str, env: Env) -> list[str]:
    return [emit(w, kid, part, x, env) if isinstance(kid.out, Field) else ""
            for kid, part in zip(t.kids, module.parts, strict=True)]  # fmt: skip


def _sum(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    terms = [fitted(value, kid.out, t.out) for value, kid in zip(_terms(w, t, module, x, env), t.kids, strict=True)]
    text = terms[0]  # a sum begins with what is added
    for sign, term in zip(t.signs[1:], terms[1:], strict=True):
        text += f" {sign} {term}"
    return f"({text})"


def _product(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    return times(t.out, _terms(w, t, module, x, env), [kid.out for kid in t.kids])


def _concat(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    starts = t.settings.get("starts")
    if starts is None:
        return f"torch.cat([{', '.join(_terms(w, t, module, x, env))}], -1)"
    if t.settings["cut"]:
        raise refuse(t, "around let values")
    widths = [high - low for low, high in pairwise(starts)]
    parts = [w.variable("part") for _ in widths]
    w.forward.append(f"{', '.join(parts)} = {x}.split({widths}, -1)")
    found = [emit(w, kid, part, name, env) for kid, part, name in zip(t.kids, module.parts, parts, strict=True)]
    return f"torch.cat([{', '.join(found)}], -1)"


def _let(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    if not isinstance(t.kids[0].out, Field):
        raise refuse(t, "of scores and banks")
    value = emit(w, t.kids[0], module.parts[0], x, env)
    name = w.variable(t.settings["name"])
    w.assign(name, value)
    return emit(w, t.kids[1], module.parts[1], x, {**env, t.settings["name"]: name})


def _bound(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    return env[t.settings["name"]]


def _on_grid(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    """Tokens on the grid through a phrase, the extra ones past it."""
    extra = t.x.extra
    if not extra:
        return emit(w, t.kids[0], module.parts[0], x, env)
    tokens = w.variable("tokens")
    w.assign(tokens, f"{x}[:, {extra}:].reshape(-1, {', '.join(map(str, (*t.x.grid, t.x.channels)))})")
    return f"torch.cat([{x}[:, :{extra}], {emit(w, t.kids[0], module.parts[0], tokens, env)}.flatten(1, -2)], 1)"


def _input(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    return x


def _read(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    """A read stage by stage; one with parameters is a class of its own where it uses no names from outside."""

    def staged(inner: Writer, x: str, env: Env) -> str:
        state: str | None = None
        name = inner.variable("s")
        for i, (kid, part) in enumerate(zip(t.kids, module.parts, strict=True)):
            state = emit(inner, kid, part, x, env, state)
            if i < len(t.kids) - 1:
                inner.assign(name, state)
                state = name
        assert state is not None
        return state

    if not _closed(t, env):
        return staged(w, x, env)
    ffn = any(isinstance(kid.word.name, str) and kid.word.name in ("dot", "dot0") for kid in t.kids)
    base = "FeedForward" if ffn else "Mixer"
    block = _separate(w, t, module, base, lambda inner: staged(inner, "x", {}))
    return f"{w.member('ffn' if ffn else 'mixer', f'{block.name}()', block.tensors)}({x})"


def _attention(w: Writer, read: FusedRead | ValuesFirst, x: str, env: Env) -> str:
    """Scaled dot-product attention, or a read that sums its values first."""
    sources, total = read.sources, read.total
    if sources.bank is not None or (isinstance(read, FusedRead) and (read.added or read.needs)):
        raise refuse(read.match, "with a bias, a bank of queries or chosen slots")
    score = read.match.out

    def attend(inner: Writer, x: str, env: Env) -> str:
        q, k, v = (inner.variable(name) for name in "qkv")
        kids = (*read.match.kids[:2], total.kids[0])
        if sources.joint is not None:
            joint = sources.joint
            fan_out, fan_in = joint.weight.shape
            qkv = linear_member(inner, "qkv", fan_in, fan_out, joint, joint.bias is not None)
            inner.forward.append(f"{q}, {k}, {v} = {qkv}({x}).split({joint.rows}, -1)")
        else:
            for name, kid, part in zip((q, k, v), kids, sources.parts, strict=True):
                inner.assign(name, emit(inner, kid, part, x, env))
        for name, kid in zip((q, k, v), kids, strict=True):
            inner.assign(name, heads(name, score, kid.out))
        out = inner.variable("out")
        inner.assign(out, _summed(inner, read, q, k, v))
        out += ".sum(1)" if total.settings["summed"] else ".transpose(1, 2)"
        grid = (score.tokens,) if score.extra else score.grid
        return f"{out}.reshape(-1, {', '.join(map(str, grid))}, {total.out.channels})"

    if not _closed(read.t, env):
        return attend(w, x, env)
    block = _separate(w, read.t, read, "Attention", lambda inner: attend(inner, "x", {}))
    return f"{w.member('att', f'{block.name}()', block.tensors)}({x})"


def _summed(w: Writer, read: FusedRead | ValuesFirst, q: str, k: str, v: str) -> str:
    """The heads' results, (B, heads, tokens, channels of a head)."""
    scale = expect(read.match.word, Match).scale(read.match)
    if isinstance(read, ValuesFirst):
        if scale != 1.0:
            w.assign(q, f"{q} * {scale}")
        between = [step.word.name for step in read.between if step.word.name != "id"]
        if not between:
            return f"{q} @ ({k}.mT @ {v})"
        if between != ["l1"]:
            raise refuse(read.between[0], "with values first")
        sums = w.variable("sums")
        w.assign(sums, f"({q} * {k}.sum(-2, keepdim=True)).sum(-1, keepdim=True)")
        return f"{q} @ ({k}.mT @ {v}) / torch.where({sums}.abs() >= 1e-6, {sums}, 1e-6)"
    options = ", is_causal=True" if read.causal else ""
    if read.mask is not None:  # which slots are present: a table, so it comes with the weights
        shape = ", ".join(map(str, read.mask.shape))
        name = w.member("mask", f"nn.Buffer(torch.ones({shape}, dtype=torch.bool))", {"": Held(read.mask)})
        options += f", attn_mask={name}"
    usual = (read.match.settings["width"] // read.match.out.heads) ** -0.5
    options += "" if abs(scale / usual - 1) < 1e-9 else f", scale={scale}"
    return f"F.scaled_dot_product_attention({q}, {k}, {v}{options})"


def _place(w: Writer, t: Typed, module: Part, x: str, env: Env) -> str:
    """Views around a phrase: transposed, windows and grids; supports and heads are read by the phrase itself."""
    if len(t.kids) > 1:
        raise refuse(t, "that chooses slots")
    used, views = _used(t.kids[0]), []
    for level in t.settings["levels"]:
        view, field = place_word(level.place), level.context.x
        if not isinstance(view, View):
            continue
        if not isinstance(view, Transposed | Partition | Segments):
            raise refuse(t, f"@{view.name}")
        views.append((view, level))
        kinds = {name: bound.type for name, bound in level.context.env if name in used and name in env}
        for name, kind in kinds.items():
            if not view.sees(next(b for n, b in level.context.env if n == name), field):
                raise refuse(t, "around values of another domain")
            value = w.variable(name)
            w.assign(value, _enter(view, kind, level.place, env[name]))
            env = {**env, name: value}
        value = w.variable("z")
        w.assign(value, _enter(view, field, level.place, x))
        x = value
    value = emit(w, t.kids[0], module.parts[0], x, env)
    for view, (place, ctx, inner, _) in reversed(views):
        value = _leave(view, ctx.x, place, inner, value)
    return value


def _enter(view: View, field: Field, place: Any, x: str) -> str:
    if isinstance(view, Transposed):
        return f"{x}.mT" if field.extra or len(field.grid) == 1 else f"{x}.flatten(1, -2).mT"
    if isinstance(view, Segments):
        return f"{x}.unflatten(-1, ({place.values[0]}, -1)).movedim(-2, 1).flatten(0, 1)"
    assert isinstance(view, Partition)
    size, rank = place.values[0], len(place.values[0])
    pairs = [
        pair
        for length, width in zip(field.grid, size, strict=True)
        for pair in ((length // width, width) if view.order == (0, 1) else (width, length // width))
    ]
    outer, inner = view.order
    axes = [0] + [1 + 2 * a + outer for a in range(rank)] + [1 + 2 * a + inner for a in range(rank)] + [2 * rank + 1]
    split = f"{x}.reshape(-1, {', '.join(map(str, pairs))}, {field.channels})"
    return f"{split}.permute({', '.join(map(str, axes))}).reshape(-1, {', '.join(map(str, size))}, {field.channels})"


def _leave(view: View, field: Field, place: Any, out: Any, x: str) -> str:
    if isinstance(view, Transposed):
        value = f"{x}.mT" if len(out.grid) == 1 or out.extra else f"{x}.flatten(1, -2).mT"
        if out.channels == field.tokens and not field.extra and len(field.grid) > 1:
            return f"{value}.reshape(-1, {', '.join(map(str, field.grid))}, {out.tokens})"
        return value
    if isinstance(view, Segments):
        return f"{x}.unflatten(0, (-1, {place.values[0]})).movedim(1, -2).flatten(-2)"
    assert isinstance(view, Partition)
    rank = len(place.values[0])
    counts = [length // width for length, width in zip(field.grid, place.values[0], strict=True)]
    first, second = (1, 1 + rank) if view.order == (0, 1) else (1 + rank, 1)
    axes = [0] + [a + axis for axis in range(rank) for a in (first, second)] + [2 * rank + 1]
    grid = [n * width for n, width in zip(counts, out.grid, strict=True)]
    split = f"{x}.reshape(-1, {', '.join(map(str, (*counts, *out.grid)))}, {out.channels})"
    return f"{split}.permute({', '.join(map(str, axes))}).reshape(-1, {', '.join(map(str, grid))}, {out.channels})"


FORMS: dict[str, Callable[[Writer, Typed, Part, str, Env], str]] = {
    "chain": _chain, "repeat": _chain, "residual": _residual, "sum": _sum, "product": _product, "concat": _concat,
    "let": _let, "bound": _bound, "input": _input, "read": _read, "place": _place,
}  # fmt: skip
