"""Re-parameterisation: a network in evaluation form as a smaller one that computes the same.

In evaluation a batch norm is a scale and a shift for each channel, so it folds into the projection or convolution
before it, or into the one behind it unless that pads; parallel kernels add up; a skip around a projection is an
identity matrix added to it (RepVGG arXiv 2101.03697, RepMLPNet arXiv 2112.11081, FFNet arXiv 2406.02021). The result
is a sentence again, so it has costs, a drawing and a dense reference of its own.

One walk over the checked tree turns every occurrence into a ``Piece``: what is written for it, the tensors of its
words in reading order (as functions, so that the sentence alone needs no network and no torch), and what the rules
can fold: an affine map of its source, or a batch norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from metamixer.errors import UserError
from metamixer.language import Sentence, parse
from metamixer.language.nodes import Node, X, chain, joined, make, place, size, total, word
from metamixer.language.printer import text
from metamixer.language.typed import Typed
from metamixer.language.types import Score
from metamixer.language.vocabulary import Macro
from metamixer.words.convolutions import EPS, convolve_same

if TYPE_CHECKING:
    from torch import Tensor

    from metamixer.compile.modules import Network, Share, Weights

Path = tuple[int, ...]
Tensors = Callable[[], dict[str, Any]]
Held = Mapping[Path, "Weights | Share"]


@dataclass(frozen=True)
class Norm:
    """A batch norm in evaluation: ``vectors() -> (scale, shift)`` of ``rows`` numbers; channel i uses i mod rows."""

    rows: int
    vectors: Callable[[], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Affine:
    """A projection or convolution of one source.

    Attributes:
        kind: ``lin``, ``conv``, ``fconv``; ``sets``: a ``lin`` with a matrix for each token set, which no rule but
            that of ``@`` knows; ``T``: a ``lin`` inside ``@T``, with a matrix for each channel set.
        channels: width of the source and of the result.
        groups: channel groups; for ``conv`` each channel is one.
        rows: rows of the weight, axis 0; fewer than channels where sets share them.
        kernel, stride, pads: a number, or a pair for ``pads``, for each axis; none for ``lin`` and ``T``.
        grid: the source's.
        tensors: ``() -> (weight, bias or None)``.
        bias: whether there is one.
        source: what it reads; None for the state of a stage.
    """

    kind: str
    channels: tuple[int, int]
    groups: int
    rows: int
    grid: tuple[int, ...]
    tensors: Callable[[], tuple[Tensor, Tensor | None]]
    bias: bool
    source: Piece | None
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()

    @property
    def of_x(self) -> bool:
        return self.source is not None and self.source.node is X


@dataclass(frozen=True)
class Piece:
    """One occurrence after fusion.

    Attributes:
        node: what is written for it.
        weights: for each of its words with weights, in reading order, whose they are and what they are.
        affine: what it is as a map, if the rules know it.
        norm: what it is as a batch norm.
        match: of a read: its match with a bank, which a norm before it can fold into, and what follows.
    """

    node: Node
    weights: tuple[tuple[object, Tensors], ...] = ()
    affine: Affine | None = None
    norm: Norm | None = None
    match: Affine | None = field(default=None, repr=False)


def fused_sentence(sentence: Sentence | str, channels: int, grid: tuple[int, ...]) -> Sentence:
    """The sentence of the fused network, for an input of ``channels`` channels on ``grid``. Needs no torch.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    return parse(text(_Walk({}).piece(sentence.typed(channels, tuple(grid)), (), {}).node))


def fuse(net: Network) -> Network:
    """The network that computes what ``net``, as ``metamixer.build`` made it, computes in evaluation mode.

    Returns:
        a new network in evaluation mode, of the fused sentence, with weights computed from those of ``net``.

    Raises:
        UserError: ``net`` is another kind of module.
    """
    import torch

    from metamixer.compile.modules import Network

    if not isinstance(net, Network):
        raise UserError(
            f"fuse takes a network as metamixer.build makes it, not a {type(net).__name__}",
            None,
            "of what create_model makes, fuse the .network",
        )
    t = net.typed
    whole = _Walk(net.store.weights).piece(t, (), {})
    like = next(net.parameters(), torch.empty(0))
    fused = Network(parse(text(whole.node)).typed(t.x.channels, t.x.grid), net.store.counted).to(like)
    given = list(dict(whole.weights).values())
    owners = dict.fromkeys(_owners(fused.typed, (), {}))
    with torch.no_grad():
        for path, tensors in zip(owners, given, strict=True):
            values = tensors()
            for name, held in fused.store.weights[path].state_dict(keep_vars=True).items():
                held.copy_(values[name].reshape(held.shape))
    return fused.eval()


def _owners(t: Typed, path: Path, ties: Mapping[str, Path]) -> Iterator[Path]:
    """Paths of the words with weights in reading order; a tied one comes with each use."""
    for kid, where, names in _kids(t, path, ties):
        yield from _owners(kid, where, names)
    if t.word.weights(t):
        yield path


def _kids(t: Typed, path: Path, ties: Mapping[str, Path]) -> list[tuple[Typed, Path, Mapping[str, Path]]]:
    """Each part with the path of its weights, as networks keep them: those of a tied name lie with its binding."""
    if t.word.form == "tied":
        return [(kid, ties[t.settings["name"]], ties) for kid in t.kids]
    names = {**ties, t.settings["name"]: (*path, -1)} if t.word.form == "tie" else ties
    return [(kid, (*path, i), names) for i, kid in enumerate(t.kids)]


# -- the walk ----------------------------------------------------------------------------------------------------------


class _Walk:
    """Turns occurrences into pieces, innermost first; ``held`` are the network's weights by path."""

    def __init__(self, held: Held) -> None:
        self.held = held

    def piece(self, t: Typed, path: Path, ties: Mapping[str, Path]) -> Piece:
        found = _kids(t, path, ties)
        if t.word.form == "tied":  # one set of weights in several places: none of them may change
            owners = (owner for kid, where, names in found for owner in _owners(kid, where, names))
            return Piece(t.node, tuple((owner, partial(self.tensors, owner)) for owner in owners))
        kids = [self.piece(kid, where, names) for kid, where, names in found]
        if isinstance(t.word, Macro):
            inner = kids[0]
            return replace(inner, node=t.node) if inner.node is t.kids[0].node else inner
        plain = self.plain(t, path, kids)
        rule = RULES.get(t.word.form) or RULES.get(t.word.name)
        return rule(t, kids, plain, partial(self.tensors, path)) if rule else plain

    def plain(self, t: Typed, path: Path, kids: list[Piece]) -> Piece:
        """The occurrence with its fused parts put in place."""
        weights = tuple(item for kid in kids for item in kid.weights)
        if t.word.weights(t):
            weights = (*weights, (path, partial(self.tensors, path)))
        if t.word.form == "repeat":
            alike = bool(kids) and all(kid.node is kids[0].node for kid in kids)
            node = joined(t.node, (kids[0].node, t.node.kids[1])) if alike else chain("seq", [k.node for k in kids])
            return Piece(node if kids else t.node, weights)
        written, position = list(t.node.kids), 0
        for kid, piece in zip(t.kids, kids, strict=True):
            while position < len(written) and _bare(written[position]) is not kid.node:
                position += 1
            if position < len(written):  # a missing source is x and stays so
                written[position], position = piece.node, position + 1
        same = all(_bare(new) is _bare(old) for new, old in zip(written, t.node.kids, strict=True))
        return Piece(t.node if same else joined(t.node, tuple(written)), weights)

    def tensors(self, path: Path) -> dict[str, Any]:
        held = self.held[path]
        return {name: value.detach() for name, value in held.state_dict(keep_vars=True).items()}


def _bare(node: Node) -> Node:
    return _bare(node.kids[0]) if node.op == "slot" else node


# -- reading words as maps ---------------------------------------------------------------------------------------------


def _lin(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    s, x = t.settings, t.inputs[0]
    if s["fix"]:  # frozen numbers stay apart
        return plain
    kind = "sets" if s["sets"] else "lin"
    affine = Affine(kind, (x.channels, s["c"]), s["g"], s["c"], x.grid, _pair(tensors), bool(s["b"]), kids[0])
    return replace(plain, affine=affine)


def _conv(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    s, x = t.settings, t.inputs[0]
    if s["fix"]:  # frozen numbers stay apart
        return plain
    source = None if t.context.kind == "stage" else kids[0]
    kernel = tuple(max(sizes) for sizes in zip(*s["kernels"], strict=True))
    rows = s["sets"] or s["c"]
    affine = Affine(
        "conv", (x.channels, s["c"]), x.channels, rows, x.grid, _pair(tensors, "kernel0"), bool(s["b"]), source,
        kernel, s["s"], tuple(map(_same, kernel)),
    )  # fmt: skip
    if not s["normed"]:
        return replace(plain, affine=affine)
    return written(replace(affine, bias=True, tensors=partial(_one_kernel, tensors, s["kernels"], kernel)))


def _fconv(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    s, x = t.settings, t.inputs[0]
    if s["fix"]:  # frozen numbers stay apart
        return plain
    affine = Affine(
        "fconv", (x.channels, s["c"]), s["g"], s["c"], x.grid, _pair(tensors), bool(s["b"]), kids[0],
        s["k"], s["s"], s["pads"],
    )  # fmt: skip
    return replace(plain, affine=affine)


def _bn(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    if kids[0].node is not X:
        return plain
    eps, rows = t.word.eps, t.settings["sets"] or t.out.channels  # type: ignore[attr-defined]
    return replace(plain, norm=Norm(rows, lambda: _evaluated(tensors(), "", eps)))


def _same(k: int) -> tuple[int, int]:
    return (k - 1) // 2, k // 2


def _pair(tensors: Tensors, name: str = "weight") -> Callable[[], tuple[Tensor, Tensor | None]]:
    def read() -> tuple[Tensor, Tensor | None]:
        held = tensors()
        return held[name].double(), held["bias"].double() if "bias" in held else None

    return read


def _evaluated(held: Mapping[str, Tensor], i: str, eps: float) -> tuple[Tensor, Tensor]:
    """Scale and shift that a batch norm is in evaluation."""
    mean, variance, scale = (held[f"{name}{i}"].double() for name in ("mean", "variance", "scale"))
    factor = scale / (variance + eps).sqrt()
    shift = -mean * factor
    return factor, shift + held[f"shift{i}"].double() if f"shift{i}" in held else shift


def _one_kernel(tensors: Tensors, kernels: tuple[tuple[int, ...], ...], kernel: tuple[int, ...]) -> Any:
    """The sum of batch-normed kernels as one kernel and bias."""
    held = tensors()
    weight: Any = 0
    bias: Any = 0
    for i, own in enumerate(kernels):
        factor, shift = _evaluated(held, str(i), EPS)
        weight = weight + _padded(held[f"kernel{i}"].double() * _over_rows(factor, len(own) + 2), own, kernel)
        bias = bias + shift
    return weight, bias


def _padded(weight: Tensor, own: tuple[int, ...], kernel: tuple[int, ...]) -> Tensor:
    """A kernel in the middle of a larger one."""
    from torch.nn.functional import pad

    sides = []
    for k, wide in zip(reversed(own), reversed(kernel), strict=True):
        front = _same(wide)[0] - _same(k)[0]
        sides += [front, wide - k - front]
    return pad(weight, sides)


def _over_rows(vector: Tensor, ndim: int) -> Tensor:
    return vector.reshape(-1, *[1] * (ndim - 1))


# -- the rules ---------------------------------------------------------------------------------------------------------


def written(a: Affine) -> Piece:
    """A map as a piece."""
    arguments = () if a.source is None or a.source.node is X else (a.source.node,)
    options: dict[str, Any] = {}
    if any(step > 1 for step in a.stride):
        options["s"] = a.stride
    if a.kind == "conv":
        options |= {"c": a.channels[1]} if len(set(a.channels)) > 1 else {}
        options |= {"sets": a.rows} if a.rows != a.channels[1] else {}
    elif a.kind == "fconv":
        usual = tuple((0, 0) if k <= s else _same(k) for k, s in zip(a.kernel, a.stride, strict=True))
        options |= {"g": a.groups} if a.groups > 1 else {}
        options |= {"pad": tuple(front for front, _ in a.pads)} if a.pads != usual else {}
    elif a.kind == "lin":
        options |= {"g": a.groups} if a.groups > 1 else {}
    elif a.rows > 1:
        options["sets"] = a.rows
    if a.bias != (a.kind != "conv"):
        options["b"] = int(a.bias)
    keywords = {key: _size(value) for key, value in options.items()}
    if a.kind == "conv":
        if arguments or a.source is None or not a.bias:
            first = arguments if arguments or a.source is None else (X,)
            node = word("conv", *first, make("bank", None, (_size(a.kernel),)), **keywords)
        else:
            keywords.pop("b")
            node = word("dw", _size(a.kernel), **keywords)
    elif a.kind == "fconv":
        node = word("fconv", _size(a.kernel), size(a.channels[1]), *arguments, **keywords)
    else:
        width = () if a.channels[0] == a.channels[1] else (size(a.channels[1]),)
        node = word("lin", *width, *arguments, **keywords)
        node = place(node, word("T")) if a.kind == "T" else node
    names = ("kernel0", "bias") if a.kind == "conv" else ("weight", "bias")

    def tensors() -> dict[str, Any]:
        return {name: value for name, value in zip(names, a.tensors(), strict=True) if value is not None}

    before = () if a.source is None else a.source.weights
    return Piece(node, (*before, (object(), tensors)), a)


def _size(value: int | tuple[int, ...]) -> Node:
    return size(value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value)


def then_norm(a: Affine, norm: Norm) -> Affine | None:
    """``map >> bn`` as one map with a bias."""
    if a.rows % norm.rows or a.kind == "sets":
        return None

    def tensors() -> tuple[Tensor, Tensor]:
        weight, bias = a.tensors()
        scale, shift = (v.repeat(a.rows // norm.rows) for v in norm.vectors())
        bias = weight.new_zeros(a.rows, *([weight.shape[1]] if a.kind == "T" else [])) if bias is None else bias
        moved = bias.reshape(a.rows, -1) * scale[:, None] + shift[:, None]
        return weight * _over_rows(scale, weight.ndim), moved.reshape(bias.shape)

    return replace(a, tensors=tensors, bias=True)


def after_norm(a: Affine, norm: Norm) -> Affine | None:
    """``bn >> map`` as one map with a bias, where no zeros are read in place of normed values."""
    if not a.of_x or a.rows != a.channels[1] or a.kind in ("sets", "T") or any(map(any, a.pads)):
        return None

    def tensors() -> tuple[Tensor, Tensor]:
        weight, bias = a.tensors()
        scale, shift = (v.repeat(a.channels[0] // norm.rows) for v in norm.vectors())
        grouped = weight.reshape(a.groups, -1, *weight.shape[1:])
        tail = [1] * len(a.kernel)
        added = (grouped * shift.reshape(a.groups, 1, -1, *tail)).flatten(2).sum(-1).flatten()
        return (
            (grouped * scale.reshape(a.groups, 1, -1, *tail)).reshape(weight.shape),
            added if bias is None else bias + added,
        )

    return replace(a, tensors=tensors, bias=True)


def plus(a: Affine, b: Affine | None, sign: int) -> Affine | None:
    """The sum (or difference) of two maps of ``x`` as one; ``b`` None stands for ``x`` itself."""
    kernel, pads = a.kernel, a.pads
    if a.kind == "sets":
        return None
    if b is None:
        fits = a.channels[0] == a.channels[1] and all(s == 1 for s in a.stride) and a.pads == tuple(map(_same, kernel))
        if not fits or not a.of_x:
            return None
    else:
        alike = (a.kind, a.channels, a.groups, a.rows, a.stride) == (b.kind, b.channels, b.groups, b.rows, b.stride)
        if not alike or not a.of_x or not b.of_x:
            return None
        kernel = tuple(map(max, a.kernel, b.kernel))
        if (a.kernel, a.pads) != (b.kernel, b.pads):
            centred = all(part.pads == tuple(map(_same, part.kernel)) for part in (a, b))
            if not centred or prod(kernel) > prod(a.kernel) + prod(b.kernel):
                return None  # one kernel around both would cost more than the two
            pads = tuple(map(_same, kernel))

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        if b is None:
            return weight + sign * _identity(a, weight), bias
        other, shift = b.tensors()
        weight, other = (_padded(w, p.kernel, kernel) if kernel else w for w, p in ((weight, a), (other, b)))
        if shift is not None:
            bias = sign * shift + (0 if bias is None else bias)
        return weight + sign * other, bias

    return replace(a, kernel=kernel, pads=pads, tensors=tensors, bias=a.bias or (b is not None and b.bias))


def _identity(a: Affine, weight: Tensor) -> Tensor:
    """The weight that keeps the input, in the shape of ``weight``."""
    import torch

    if a.kind == "T":
        return torch.eye(weight.shape[-1], dtype=weight.dtype, device=weight.device)
    eye = torch.zeros_like(weight)
    rows, columns = torch.arange(len(weight)), torch.arange(len(weight)) % weight.shape[1]
    middle: list[Any] = [(k - 1) // 2 for k in a.kernel]
    eye[(rows, columns, *middle)] = 1
    return eye


def toeplitz(a: Affine, b: Affine, sign: int) -> Affine | None:
    """A token matrix plus a depthwise convolution on the same part of the grid, as one token matrix (RepMLPNet)."""
    fits = a.kind == "T" and b.kind == "conv" and a.rows == b.rows and b.channels[0] == b.channels[1]
    if not fits or not a.of_x or not b.of_x or any(s > 1 for s in b.stride):
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        import torch

        weight, bias = a.tensors()
        kernel, shift = b.tensors()
        q = prod(b.grid)
        pixels = torch.eye(q, dtype=kernel.dtype, device=kernel.device).reshape(q, *b.grid, 1)
        pixels = pixels.expand(*pixels.shape[:-1], len(kernel))
        matrix = convolve_same(pixels, kernel, None, b.stride, len(kernel)).reshape(q, q, -1)  # (from, to, set)
        weight = weight.reshape(a.rows, q, q) + sign * matrix.permute(2, 1, 0)
        if shift is not None:
            shift = sign * shift[:, None].expand(-1, q)
            bias = shift if bias is None else bias.reshape(a.rows, q) + shift
        return weight, bias

    return replace(a, tensors=tensors, bias=a.bias or b.bias)


def _sequence(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    """``map >> bn`` first, then ``bn >> map`` and ``bn >> read of a bank``."""
    done: list[Piece] = []
    for kid in kids:
        fused = then_norm(done[-1].affine, kid.norm) if done and done[-1].affine and kid.norm else None
        if fused:
            done[-1] = written(fused)
        elif kid.node is not X:
            done.append(kid)
    behind: list[Piece] = []
    for kid in done:
        before = behind[-1].norm if behind else None
        fused = after_norm(kid.affine, before) if before and kid.affine else None
        if before and kid.match and (folded := after_norm(kid.match, before)):
            behind[-1] = _with_match(kid, folded)
        elif fused:
            behind[-1] = written(fused)
        else:
            behind.append(kid)
    if len(behind) == len(kids):
        return plain
    if len(behind) == 1:
        return behind[0]
    return Piece(chain("seq", [kid.node for kid in behind]), tuple(item for kid in behind for item in kid.weights))


def _read(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    return replace(plain, match=kids[0].match)


def _dot0(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    """A match with a bank is a projection; its bias is written, so a norm can go there."""
    score = t.out
    if not isinstance(score, Score) or not score.as_field or score.heads > 1 or len(score.parts) > 1:
        return plain
    if not t.settings["b"] or t.context.kind == "stage":
        return plain
    width = t.inputs[0].channels
    return replace(
        plain,
        match=Affine("lin", (width, score.slots), 1, score.slots, t.x.grid, _pair(tensors, "keys0"), True, kids[0]),
    )


def _with_match(kid: Piece, a: Affine) -> Piece:
    """A read whose match, its first word with weights, has other ones."""

    def tensors() -> dict[str, Any]:
        return dict(zip(("keys0", "bias"), a.tensors(), strict=True))

    return replace(kid, weights=((object(), tensors), *kid.weights[1:]), match=a)


def _add(signs: str, kids: list[Piece]) -> tuple[str, list[Piece]]:
    """Terms of a sum with the maps among them, and x itself, put together where they fit."""
    terms = list(zip(signs, kids, strict=True))
    i = 0
    while i < len(terms):
        sign, kid = terms[i]
        j = i + 1
        while kid.affine and sign == "+" and j < len(terms):
            factor = 1 if terms[j][0] == "+" else -1
            other = terms[j][1]
            if other.node is X:
                fused = plus(kid.affine, None, factor)
            elif other.affine:
                fused = plus(kid.affine, other.affine, factor) or toeplitz(kid.affine, other.affine, factor)
            else:
                fused = None
            if fused:
                kid = written(fused)
                terms[i] = ("+", kid)
                del terms[j]
                j = i + 1
            else:
                j += 1
        i += 1
    return "".join(sign for sign, _ in terms), [kid for _, kid in terms]


def _sum(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    signs = "++" if t.word.form == "residual" else t.node.data
    given = [Piece(X), *kids] if t.word.form == "residual" else kids
    # what is taken away last, as a sum needs it; token matrices before convolutions, which join them; x last

    def rank(i: int) -> tuple[bool, bool, bool]:
        affine = given[i].affine
        return signs[i] == "-", given[i].node is X, affine is None or affine.kind != "T"

    order = sorted(range(len(given)), key=rank)
    signs, terms = _add("".join(signs[i] for i in order), [given[i] for i in order])
    if len(terms) == len(given):
        return plain
    if len(terms) == 1:
        return terms[0]
    node = total(signs, [term.node for term in terms])
    return Piece(node, tuple(item for term in terms for item in term.weights))


def _at(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    """``lin@T``: one matrix over the tokens for each set of channels."""
    levels, inner = t.settings["levels"], kids[0].affine
    transposed = [level.place.word for level in levels] == ["T"] and inner is not None and inner.kind in ("lin", "sets")
    if not transposed or not inner or not inner.of_x or inner.groups > 1 or len(set(inner.channels)) > 1:
        return plain
    sets = t.kids[0].settings.get("sets") or 1

    def matrices() -> tuple[Tensor, Tensor | None]:
        weight, bias = inner.tensors()
        n = inner.channels[0]
        return weight.reshape(sets, n, n), bias if bias is None else bias.reshape(sets, n)

    width = (t.x.channels, t.x.channels)
    affine = replace(inner, kind="T", channels=width, rows=sets, grid=t.x.grid, tensors=matrices)
    return replace(plain, affine=affine)


def _unit(t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
    """A scope around a map: what is written for maps needs none."""
    return written(kids[0].affine) if kids[0].affine and kids[0].affine.of_x else plain


Rule = Callable[[Typed, list[Piece], Piece, Tensors], Piece]
RULES: Mapping[str, Rule] = {
    "lin": _lin, "conv": _conv, "fconv": _fconv, "bn": _bn, "dot0": _dot0,
    "chain": _sequence, "read": _read, "sum": _sum, "residual": _sum, "place": _at, "unit": _unit,
}  # fmt: skip
