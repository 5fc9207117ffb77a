"""How each word is said in plain torch: a function of the class being written, the occurrence and its arguments.

An argument is the source of a value (an expression), or None for a bank. Fields lie channels last, (B, *grid, C).
A word that is not in `OPERATORS`, or a use that its function refuses, has no source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metamixer.export.writer import Held, NoSourceError, Writer, held
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, expect
from metamixer.language.checking.types import Field, Score
from metamixer.words.activations import Pointwise
from metamixer.words.norms import Standardising

Argument = str | None
Operator = Callable[[Writer, Typed, Any, list[str]], str]


def refuse(t: Typed, why: str = "") -> NoSourceError:
    """The error for an occurrence without source."""
    return NoSourceError(t.word.name, t.text, why)


def pointwise(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """A function of single numbers, by torch's name for it."""
    import torch

    assert isinstance(t.word, Pointwise)
    name = t.word.torch_name
    if t.word.name == "elu1":
        return f"(F.elu({args[0]}) + 1)"
    if not name:
        raise refuse(t)
    home = "F" if hasattr(torch.nn.functional, name) and not hasattr(torch, name) else "torch"
    home = "F" if hasattr(torch.nn.functional, name) and name in ("relu", "gelu", "silu", "hardswish") else home
    return f"{home}.{name}({args[0]})"


def linear(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``lin``."""
    s = t.settings
    if s["fix"]:
        raise refuse(t, "with fix=")
    if s["g"] > 1 or s["sets"]:
        return several(w, t, weights, args[0])
    return f"{linear_member(w, 'lin', t.inputs[0].channels, s['c'], weights, bool(s['b']))}({args[0]})"


def several(w: Writer, t: Typed, weights: Any, x: str) -> str:
    """``lin`` with a matrix for each channel group, or for each set of tokens."""
    s, source = t.settings, t.inputs[0]
    shape = ", ".join(map(str, weights.weight.shape))
    weight = w.member("lin", f"nn.Parameter(torch.zeros({shape}))", {"": Held(weights.weight)})
    bias = ""
    if s["b"]:
        shape = ", ".join(map(str, weights.bias.shape))
        bias = " + " + w.member("bias", f"nn.Parameter(torch.zeros({shape}))", {"": Held(weights.bias)})
    rows, c = s["sets"] or s["g"], source.channels if s["sets"] else source.channels // s["g"]
    split = f"{weight}.unflatten(0, ({rows}, -1))" if s["g"] > 1 else weight
    mixed = f"torch.einsum('nsi,soi->nso', {x}.reshape(-1, {rows}, {c}), {split})"
    grid = (source.tokens,) if source.extra else source.grid
    sizes = ", ".join(map(str, (*grid, s["c"])))
    return f"({mixed}.reshape(-1, {sizes}){bias})" if s["g"] > 1 else f"({mixed}{bias}).reshape(-1, {sizes})"


def linear_member(w: Writer, name: str, fan_in: int, fan_out: int, weights: Any, bias: bool) -> str:
    """A member that is nn.Linear with these weights."""
    names = {"weight": "weight"} | ({"bias": "bias"} if bias else {})
    return w.member(name, f"nn.Linear({fan_in}, {fan_out}{'' if bias else ', bias=False'})", held(weights, names))


def conv_member(
    w: Writer, name: str, t: Typed, kernel: tuple[int, ...], pads: list[tuple[int, int]], weights: dict[str, Held],
    groups: int, x: str,
) -> str:  # fmt: skip
    """A convolution of a channels-last field, padded ahead where its sides differ."""
    s, rank = t.settings["s"], len(kernel)
    options = [f"{t.inputs[0].channels}, {t.out.channels}, {short(kernel)}"]
    if any(step > 1 for step in s):
        options.append(f"stride={short(s)}")
    even = all(front == back for front, back in pads)
    if even and any(front for front, _ in pads):
        options.append(f"padding={short(tuple(front for front, _ in pads))}")
    if groups > 1:
        options.append(f"groups={groups}")
    if "bias" not in weights:
        options.append("bias=False")
    conv = w.member(name, f"nn.Conv{rank}d({', '.join(options)})", weights)
    x = f"{x}.movedim(-1, 1)"
    if not even:
        sides = [side for pad in reversed(pads) for side in pad]
        x = f"F.pad({x}, {sides})"
    return f"{conv}({x}).movedim(1, -1)"


def short(sizes: tuple[int, ...]) -> str:
    """One number where all axes are alike."""
    return str(sizes[0]) if len(set(sizes)) == 1 else str(tuple(sizes))


def full_convolution(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``fconv``."""
    s = t.settings
    if s["fix"]:
        raise refuse(t, "with fix=")
    tensors = held(weights, {"weight": "weight"} | ({"bias": "bias"} if s["b"] else {}))
    return conv_member(w, "conv", t, s["k"], list(s["pads"]), tensors, s["g"], args[0])


def depthwise(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``conv``, ``dw``."""
    s = t.settings
    if s["sets"] or s["fix"]:
        raise refuse(t, "with sets= or fix=")
    if s["normed"]:
        return normed(w, t, weights, args[0])
    kernel = s["kernels"][0]
    tensors = held(weights, {"weight": "kernel0"} | ({"bias": "bias"} if s["b"] else {}))
    pads = [((k - 1) // 2, k // 2) for k in kernel]
    return conv_member(w, "dw", t, kernel, pads, tensors, t.inputs[0].channels, args[0])


def normed(w: Writer, t: Typed, weights: Any, x: str) -> str:
    """A sum of batch-normed depthwise convolutions."""
    x, terms = w.named(x), []
    w.module.helpers.add("BatchNorm")
    for i, kernel in enumerate(t.settings["kernels"]):
        pads = [((k - 1) // 2, k // 2) for k in kernel]
        conv = conv_member(w, "dw", t, kernel, pads, held(weights, {"weight": f"kernel{i}"}), t.inputs[0].channels, x)
        own = {"weight": f"scale{i}", "bias": f"shift{i}", "running_mean": f"mean{i}", "running_var": f"variance{i}"}
        terms.append(f"{w.member('norm', f'BatchNorm({t.out.channels})', held(weights, own))}({conv})")
    return f"({' + '.join(terms)})"


def _affine(t: Typed) -> dict[str, str]:
    return {"weight": "scale"} | ({"bias": "shift"} if t.settings["b"] else {})


def layer_norm(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``norm``."""
    assert isinstance(t.word, Standardising)
    bias = "" if t.settings["b"] else ", bias=False"
    value = f"nn.LayerNorm({t.out.channels}, eps={t.word.added(t)}{bias})"
    return f"{w.member('norm', value, held(weights, _affine(t)))}({args[0]})"


def group_norm(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``gn``."""
    assert isinstance(t.word, Standardising)
    if not t.settings["b"]:
        scale = w.member("norm", starts(weights, "scale"), {"": Held(weights.scale)})
        x = f"{args[0]}.movedim(-1, 1)"
        return f"F.group_norm({x}, {t.settings['g']}, {scale}, None, {t.word.added(t)}).movedim(1, -1)"
    value = f"nn.GroupNorm({t.settings['g']}, {t.out.channels}, eps={t.word.added(t)})"
    return f"{w.member('norm', value, held(weights, _affine(t)))}({args[0]}.movedim(-1, 1)).movedim(1, -1)"


def batch_norm(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``bn``."""
    if not t.settings["b"]:
        raise refuse(t, "with b=0")
    names = {**_affine(t), "running_mean": "mean", "running_var": "variance"}
    w.module.helpers.add("BatchNorm")
    sets = t.settings["sets"]
    norm = w.member("norm", f"BatchNorm({sets or t.out.channels})", held(weights, names))
    return f"{norm}({args[0]}.unflatten(-1, (-1, {sets}))).flatten(-2)" if sets else f"{norm}({args[0]})"


def starts(weights: Any, name: str) -> str:
    """How a parameter of equal numbers starts; its real numbers come with the weights."""
    shape = ", ".join(map(str, getattr(weights, name).shape))
    return f"nn.Parameter(torch.ones({shape}))" if name == "scale" else f"nn.Parameter(torch.zeros({shape}))"


def affine(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``aff``, ``scale``."""
    scale = w.member("scale", starts(weights, "scale"), {"": Held(weights.scale)})
    out = f"{args[0]} * {scale}"
    if t.settings.get("b"):
        out += f" + {w.member('shift', starts(weights, 'shift'), {'': Held(weights.shift)})}"
    return f"({out})"


def star_relu(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``starrelu``."""
    scale = w.member("scale", starts(weights, "scale"), {"": Held(weights.scale)})
    shift = w.member("shift", starts(weights, "shift"), {"": Held(weights.shift)})
    return f"({scale} * F.relu({args[0]}).square() + {shift})"


def positions(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``pos``."""
    table = w.member("pos", f"nn.Parameter(torch.zeros({t.out.tokens}, {t.out.channels}))", {"": Held(weights.table)})
    if not t.out.extra and len(t.out.grid) > 1:
        table += f".unflatten(0, {t.out.grid})"
    return f"({args[0]} + {table})"


def class_token(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``cls``."""
    n, c = t.settings["n"], t.out.channels
    x = w.named(args[0])
    tokens = w.member("cls", f"nn.Parameter(torch.zeros({n}, {c}))", {"": Held(weights.tokens)})
    rest = x if t.inputs[0].extra else f"{x}.flatten(1, -2)"
    return f"torch.cat([{tokens}.expand(len({x}), -1, -1), {rest}], 1)"


def average(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``avg``."""
    k = t.settings["k"]
    pool = f"F.avg_pool{len(k)}d({args[0]}.movedim(-1, 1), {short(k)}, 1, {short(tuple(n // 2 for n in k))}"
    return f"{pool}, count_include_pad=False).movedim(1, -1)"


def pool(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``pool``, ``mean``."""
    source, grid = t.inputs[0], t.settings["g"]
    if t.out.tokens == 1:
        if source.extra:
            return f"{args[0]}.mean(1).reshape(-1, {', '.join(map(str, t.out.grid))}, {source.channels})"
        return f"{args[0]}.mean({tuple(range(1, len(source.grid) + 1))}, keepdim=True)"
    if any(old % new for new, old in zip(grid, source.grid, strict=True)):
        raise refuse(t, "where the cells overlap")
    cell = short(tuple(old // new for new, old in zip(grid, source.grid, strict=True)))
    return f"F.avg_pool{len(grid)}d({args[0]}.movedim(-1, 1), {cell}).movedim(1, -1)"


def single(score: Any) -> bool:
    """Whether a score lies as a field of one head over one bank."""
    return isinstance(score, Score) and score.as_field and score.heads == 1 and len(score.parts) == 1 and not score.cut


def whole(score: Any) -> bool:
    """Whether a score is of all tokens with all tokens."""
    alone = isinstance(score, Score) and len(score.parts) == 1 and not score.cut
    return alone and score.parts[0].memory is not None and score.parts[0].place is None


def heads(value: str, score: Score, kind: Field) -> str:
    """A field as (B, heads, tokens, channels of a head)."""
    return f"{value}.reshape(-1, {kind.tokens}, {score.heads}, {kind.channels // score.heads}).transpose(1, 2)"


def match(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """A match with a bank of keys is a projection; of all tokens with all, a product of their heads."""
    if whole(t.out) and all(isinstance(kind, Field) for kind in t.inputs) and not t.settings["b"]:
        q, k = (heads(value, t.out, kind) for value, kind in zip(args, t.inputs, strict=True))
        scale = expect(t.word, Match).scale(t)
        return f"({q} @ {k}.mT{'' if scale == 1.0 else f' * {scale}'})"
    if not single(t.out) or not hasattr(weights, "keys0") or hasattr(weights, "queries"):
        raise refuse(t, "of tokens with tokens in this order of evaluation")
    bias, scale = bool(t.settings["b"]), expect(t.word, Match).scale(t)
    if bias and scale != 1.0:
        raise refuse(t, "with b=1")
    names = {"weight": "keys0"} | ({"bias": "bias"} if bias else {})
    value = f"nn.Linear({t.inputs[0].channels}, {t.out.slots}{'' if bias else ', bias=False'})"
    out = f"{w.member('keys', value, held(weights, names))}({args[0]})"
    return out if scale == 1.0 else f"({out} * {scale})"


def aggregate(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """A weighted sum of a bank of values is a projection; of all tokens, a product with their heads."""
    score = t.settings["score"]
    if whole(score) and isinstance(t.inputs[0], Score) and isinstance(t.inputs[1], Field):
        out = f"({args[0]} @ {heads(args[1], score, t.inputs[1])})"
        out += ".sum(1)" if t.settings["summed"] else ".transpose(1, 2)"
        grid = (score.tokens,) if score.extra else score.grid
        return f"{out}.reshape(-1, {', '.join(map(str, grid))}, {t.out.channels})"
    if not single(t.settings["score"]) or not hasattr(weights, "values0") or t.settings["alike"]:
        raise refuse(t, "of a field in this order of evaluation")
    bias = bool(t.settings["b"])
    names = {"weight": "values0"} | ({"bias": "bias"} if bias else {})
    value = f"nn.Linear({t.settings['score'].slots}, {t.out.channels}{'' if bias else ', bias=False'})"
    return f"{w.member('values', value, held(weights, names, frozenset({'values0'})))}({args[0]})"


def softmax(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``softmax``."""
    if t.settings.get("scope") or not (single(t.inputs[0]) or whole(t.inputs[0])):
        raise refuse(t, "in this order of evaluation")
    return f"{args[0]}.softmax(-1)"


def up(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``up``."""
    return args[0] + "".join(f".repeat_interleave({r}, {i + 1})" for i, r in enumerate(t.settings["r"]))


def shuffle(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``shuffle``."""
    r, grid, rank = t.settings["r"], t.inputs[0].grid, len(t.inputs[0].grid)
    axes = [0, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)), 2 * rank + 1]
    split = f"{args[0]}.reshape(-1, {', '.join(map(str, (*grid, *r, t.out.channels)))})"
    return f"{split}.permute({axes}).reshape(-1, {', '.join(map(str, (*t.out.grid, t.out.channels)))})"


def first(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``first``."""
    n, source = t.settings["n"], t.inputs[0]
    if not source.extra:
        raise refuse(t, "of tokens on a grid")
    grid = "" if t.out.extra else f".reshape(-1, {', '.join(map(str, t.out.grid))}, {source.channels})"
    return f"{args[0]}[:, :{n}]{grid}"


def identity(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``id``."""
    return args[0]


def times(out: Field, values: list[str], kinds: list[Any]) -> str:
    """A product with broadcast over tokens, and over channel groups."""
    factors = []
    for value, kind in zip(values, kinds, strict=True):
        factor = fitted(value, kind, out)
        if isinstance(kind, Field) and kind.channels != out.channels:
            factor = f"{factor}.repeat_interleave({out.channels // kind.channels}, -1)"
        factors.append(factor)
    return f"({' * '.join(factors)})"


def fitted(value: str, kind: Any, out: Field) -> str:
    """A value laid out so that it broadcasts over the tokens of ``out``."""
    if not isinstance(kind, Field):
        return repr(kind.value)
    if out.extra and not kind.extra:
        return f"{value}.flatten(1, -2)"
    if not out.extra and (len(kind.grid) != len(out.grid) or kind.extra):
        return f"{value}.reshape(-1, {', '.join(['1'] * len(out.grid))}, {kind.channels})"
    return value


def gate(w: Writer, t: Typed, weights: Any, args: list[str]) -> str:
    """``had``."""
    return times(t.out, args, list(t.inputs))


OPERATORS: dict[str, Operator] = {
    "lin": linear, "fconv": full_convolution, "conv": depthwise, "norm": layer_norm, "gn": group_norm,
    "bn": batch_norm, "aff": affine, "scale": affine, "starrelu": star_relu, "pos": positions, "cls": class_token,
    "avg": average, "pool": pool, "dot": match, "dot0": match, "mm": aggregate, "softmax": softmax, "id": identity,
    "had": gate, "up": up, "first": first, "shuffle": shuffle,
}  # fmt: skip


def operator(t: Typed) -> Operator:
    """The function that writes an occurrence.

    Raises:
        NoSourceError: there is none.
    """
    if isinstance(t.word, Pointwise):
        return pointwise
    if t.word.name not in OPERATORS:
        raise refuse(t)
    return OPERATORS[t.word.name]
