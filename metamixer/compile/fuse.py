"""Re-parameterisation: a network in evaluation form as a smaller one that computes the same.

In evaluation a batch norm is a scale and a shift for each channel, so it folds into the projection or convolution
before it, or into the one behind it unless that pads; parallel kernels add up; a skip around a projection is an
identity matrix added to it (RepVGG arXiv 2101.03697, RepMLPNet arXiv 2112.11081, FFNet arXiv 2406.02021). The result
is a sentence again, so it has costs, a drawing and a dense reference of its own.

One walk over the checked tree turns every occurrence into a ``Piece``: what is written for it, the tensors of its
words in reading order (as functions, so that the sentence alone needs no network and no torch), and what the rules
can fold: an affine map of its source, or a scaling of channels, as words say (``metamixer.language.checking.affine``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from metamixer.compile.affine import (
    added,
    composed,
    of_scaled,
    plus,
    plus_scaled,
    plus_x,
    then_scaled,
    unscaled,
)
from metamixer.errors import UserError
from metamixer.language import Sentence, parse
from metamixer.language.checking.affine import Affine, Scaling, Tensors
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AffineMap, ChannelScaling
from metamixer.language.checking.types import Given
from metamixer.language.checking.vocabulary import Macro, place_word
from metamixer.language.syntax.nodes import Node, Sequence, Slot, X, chain, joined, total
from metamixer.language.syntax.printer import text
from metamixer.words.norms import plain_scaling

if TYPE_CHECKING:
    from metamixer.compile.modules import Network
    from metamixer.compile.weights import Share, Weights

Path = tuple[int, ...]
Held = Mapping[Path, "Weights | Share"]


@dataclass(frozen=True)
class Piece:
    """One occurrence after fusion.

    Attributes:
        node: what is written for it.
        weights: for each of its words with weights, in reading order, whose they are and what they are.
        affine: what it is as a map, if it is one.
        source: what that map reads; None for the state of a stage.
        scaling: what it is as a scaling of the channels of x, if it is one.
        match: of a read: its match with a bank as a map, which a scaling before it can fold into.
    """

    node: Node
    weights: tuple[tuple[object, Tensors], ...] = ()
    affine: Affine | None = None
    source: Piece | None = None
    scaling: Scaling | None = None
    match: Affine | None = field(default=None, repr=False)


def fused_sentence(sentence: Sentence | str, channels: int, grid: tuple[int, ...], context: Given = None) -> Sentence:
    """The sentence of the fused network, for an input of ``channels`` channels on ``grid``. Needs no torch.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    return parse(text(_Walk({}).piece(sentence.typed(channels, tuple(grid), context), (), {}).node))


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
    sentence = parse(text(whole.node))
    fused = Network(sentence.typed(t.x.channels, t.x.grid, t.further, t.context.lenient), net.store.counted).to(like)
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
        combine = COMBINED.get(t.word.form)
        return combine(t, kids, plain) if combine else self.leaf(t, kids, plain, partial(self.tensors, path))

    def leaf(self, t: Typed, kids: list[Piece], plain: Piece, tensors: Tensors) -> Piece:
        """What the word says of itself: a map, a scaling, or nothing."""
        source = None if t.context.kind == "stage" or not kids else kids[0]
        of_x = source is not None and source.node is X
        affine = t.word.as_affine(t, tensors) if isinstance(t.word, AffineMap) else None
        scaling = t.word.as_scaling(t, tensors) if isinstance(t.word, ChannelScaling) else None
        if affine is not None:
            affine = replace(affine, of_x=of_x)
            if affine.spelled is None:
                return replace(plain, match=affine)
            return written(affine, source) if affine.anew else replace(plain, affine=affine, source=source)
        return replace(plain, scaling=scaling) if of_x else plain

    def plain(self, t: Typed, path: Path, kids: list[Piece]) -> Piece:
        """The occurrence with its fused parts put in place."""
        weights = tuple(item for kid in kids for item in kid.weights)
        if t.word.weights(t):
            weights = (*weights, (path, partial(self.tensors, path)))
        if t.word.form == "repeat":
            alike = bool(kids) and all(kid.node is kids[0].node for kid in kids)
            node = joined(t.node, (kids[0].node, t.node.kids[1])) if alike else chain(Sequence, [k.node for k in kids])
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
    return _bare(node.inner) if isinstance(node, Slot) else node


# -- what is put together ----------------------------------------------------------------------------------------------


def written(a: Affine, source: Piece | None) -> Piece:
    """A map of a source as a piece."""
    assert a.spelled is not None
    arguments = () if source is None or source.node is X else (source.node,)

    def tensors() -> dict[str, Any]:
        return {name: value for name, value in zip(a.names, a.tensors(), strict=True) if value is not None}

    before = () if source is None else source.weights
    return Piece(a.spelled(a, arguments), (*before, (object(), tensors)), a, source)


def _with_match(kid: Piece, a: Affine) -> Piece:
    """A read whose match, its first word with weights, has other ones."""

    def tensors() -> dict[str, Any]:
        return dict(zip(a.names, a.tensors(), strict=True))

    return replace(kid, weights=((object(), tensors), *kid.weights[1:]), match=a)


def scaled(scaling: Scaling, channels: int) -> Piece | None:
    """A scaling of x as a piece; None where writing it would take more numbers than it has."""
    if scaling.rows != channels:
        return None

    node, tensors = plain_scaling(scaling)
    return Piece(node, ((object(), tensors),), scaling=scaling)


def _sequence(t: Typed, kids: list[Piece], plain: Piece) -> Piece:
    """Each phrase is put together with the one before it, where maps and scalings meet."""
    behind: list[Piece] = []
    for part, kid in zip(t.kids, kids, strict=True):
        if kid.node is X:
            continue
        together = _joined(behind[-1], kid, part.x.channels) if behind else None
        if together:
            behind[-1] = together
        else:
            behind.append(kid)
    if len(behind) == len(kids):
        return plain
    if len(behind) == 1:
        return behind[0]
    return Piece(chain(Sequence, [kid.node for kid in behind]), tuple(item for kid in behind for item in kid.weights))


def _joined(first: Piece, kid: Piece, channels: int) -> Piece | None:
    """A phrase and the one behind it as one, or None."""
    if first.affine and kid.scaling and (fused := then_scaled(first.affine, kid.scaling)):
        return written(fused, first.source)
    if not first.scaling:
        return None
    if kid.affine and (fused := of_scaled(kid.affine, first.scaling)):
        return written(fused, kid.source)
    if kid.match and (fused := of_scaled(kid.match, first.scaling)):
        return _with_match(kid, fused)
    if kid.scaling and (both := composed(first.scaling, kid.scaling)):
        return scaled(both, channels)
    return None


def _read(t: Typed, kids: list[Piece], plain: Piece) -> Piece:
    return replace(plain, match=kids[0].match)


def _add(signs: str, kids: list[Piece], channels: int) -> tuple[str, list[Piece]]:
    """Terms of a sum with the maps and scalings among them, and x itself, put together where they fit."""
    terms = list(zip(signs, kids, strict=True))
    i = 0
    while i < len(terms):
        sign, kid = terms[i]
        j = i + 1
        while sign == "+" and j < len(terms):
            fused = _term(kid, terms[j][1], 1 if terms[j][0] == "+" else -1, channels)
            if fused:
                kid = fused
                terms[i] = ("+", kid)
                del terms[j]
                j = i + 1
            else:
                j += 1
        i += 1
    return "".join(sign for sign, _ in terms), [kid for _, kid in terms]


def _term(kid: Piece, other: Piece, sign: int, channels: int) -> Piece | None:
    """Two terms of a sum as one, or None."""
    fused = None
    if kid.affine and other.node is X:
        fused = plus_x(kid.affine, sign)
    elif kid.affine and other.affine:
        fused = plus(kid.affine, other.affine, sign)
    elif kid.affine and other.scaling:
        fused = plus_scaled(kid.affine, other.scaling, sign)
    if fused:
        return written(fused, kid.source)
    if kid.scaling and (second := unscaled(kid.scaling.rows) if other.node is X else other.scaling):
        both = added(kid.scaling, second, sign)
        return scaled(both, channels) if both else None
    return None


def _sum(t: Typed, kids: list[Piece], plain: Piece) -> Piece:
    signs = "++" if t.word.form == "residual" else t.signs
    given = [Piece(X), *kids] if t.word.form == "residual" else kids
    # what is taken away last, as a sum needs it; matrices over tokens before what joins them; scalings and x last

    def rank(i: int) -> tuple[bool, bool, bool, bool]:
        affine = given[i].affine
        over_tokens = affine is not None and affine.over_tokens
        return signs[i] == "-", given[i].node is X, given[i].scaling is not None, not over_tokens

    order = sorted(range(len(given)), key=rank)
    signs, terms = _add("".join(signs[i] for i in order), [given[i] for i in order], t.out.channels)
    if len(terms) == len(given):
        return plain
    if len(terms) == 1:
        return terms[0]
    node = total(signs, [term.node for term in terms])
    return Piece(node, tuple(item for term in terms for item in term.weights))


def _at(t: Typed, kids: list[Piece], plain: Piece) -> Piece:
    """A view of a map, where the view says that it is a map too."""
    levels, inner = t.settings["levels"], kids[0].affine
    if len(levels) != 1 or inner is None:
        return plain
    return replace(plain, affine=place_word(levels[0].place).around(t.x, inner), source=kids[0].source)


def _frame(t: Typed, kids: list[Piece], plain: Piece) -> Piece:
    """A frame that only is a scope: what is written for a map of x needs none."""
    inner = kids[0]
    if inner.scaling and t.word.written(t, (inner.node,)) is inner.node:
        return inner
    only = inner.affine is not None and inner.affine.of_x and t.word.written(t, (inner.node,)) is inner.node
    return written(inner.affine, inner.source) if inner.affine and only else plain


COMBINED: Mapping[str, Callable[[Typed, list[Piece], Piece], Piece]] = {
    "chain": _sequence, "read": _read, "sum": _sum, "residual": _sum, "place": _at, "frame": _frame,
}  # fmt: skip
