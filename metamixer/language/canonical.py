"""Canonical form and key (docs/language.md#canonical-form): one text for all spellings of one architecture.

It keeps function, weights, MACs and resolution behaviour. Powers, macros and scopes are written out, sizes are
numbers, heads and supports stand at the reads that use them, sums and products are sorted, bindings that share
nothing are put in place and the others are named in order of their first use. The result is a sentence itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.place import everywhere, heads_place
from metamixer.language.checking.protocols import Match, PerHead, Rebinding, Respelled, Standalone
from metamixer.language.checking.types import Given, Mismatch, Score, inputs
from metamixer.language.checking.vocabulary import Form, Macro, Word, neutral, place_word, words, written_supports
from metamixer.language.memo import Memo, memo
from metamixer.language.sentence import LARGEST, Sentence
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import (
    Binder,
    Let,
    Node,
    Power,
    Product,
    Read,
    Sequence,
    Sum,
    Tie,
    X,
    chain,
    count_of,
    joined,
    name_of,
    place,
    total,
    walk,
    word,
)
from metamixer.language.syntax.printer import part_text, text

_keys: Memo[None, str] = Memo()


def key(sentence: Sentence, channels: int | None, grid: tuple[int, ...] | None, context: Given = None) -> str:
    """See ``Sentence.key``."""
    if channels is None or grid is None:
        return _hash(text(symbolic(sentence.node)))
    t = sentence.typed(channels, tuple(grid), context)
    known = _keys.of(t)
    if None not in known:
        used = sorted((name, field) for name, field in inputs(context).items() if name in sentence.node.names)
        known[None] = _hash(" ".join([f"{channels} {tuple(grid)}", *map(str, used), _text(t)]))
    return known[None]


def canonical(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> Sentence:
    """The canonical form for this input, as a sentence."""
    return Sentence(canonical_node(sentence.typed(channels, tuple(grid), context)))


def canonical_node(t: Typed) -> Node:
    """The canonical form of a checked sentence."""
    return renamed(_Walk().form(t, ONE, object(), {}), {}, 0)


_parts: Memo[Word, tuple[str, ...]] = Memo()


def _text(t: Typed) -> str:
    """The canonical form as text. That of a chain is written from those of its parts, which sentences share."""
    if t.word.form is not Form.CHAIN:
        return text(canonical_node(t))
    parts: list[str] = []
    for kid in t.kids:
        known = _parts.of(kid)
        if t.word not in known:
            form = renamed(t.word.written(t, (_Walk().form(kid, ONE, object(), {}),)), {}, 0)
            kids = form.kids if isinstance(form, Sequence) else () if form is X else (form,)
            known[t.word] = tuple(part_text(kid, Sequence) for kid in kids)
        parts += known[t.word]
    return text(canonical_node(t)) if len(parts) < 2 else " >> ".join(parts)


def _hash(written: str) -> str:
    return hashlib.sha256(written.encode()).hexdigest()[:16]


@dataclass
class _Binding:
    """A let or tie in scope: its value, where it stands, and the name it is written under unless put in place."""

    value: Typed
    x: object
    env: Mapping[str, _Binding]
    name: str
    inline: bool


Heads = tuple[int, bool]  # how many heads a read has, and whether they are summed
ONE: Heads = (1, False)


_forms: Memo[tuple[Heads, bool], Node] = Memo()  # of closed occurrences


class _Walk:
    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def form(self, t: Typed, heads: Heads, x: object, env: Mapping[str, _Binding], staged: bool = False) -> Node:
        """Canonical form of an occurrence.

        Args:
            t: the occurrence.
            heads: heads that the phrases around it have put in force.
            x: stands for the identity of the input.
            env: bindings in scope.
            staged: whether it is a stage of a read, whose heads and support are written at the read.
        """
        free = bool(env) and any(name in t.node.names for name in env)
        if free:
            return self._form(t, heads, x, env, staged)
        forms, key = _forms.of(t), (heads, staged)
        known = forms.get(key)
        if known is None:
            known = forms[key] = self._form(t, heads, x, {}, staged)
        return known

    def _form(self, t: Typed, heads: Heads, x: object, env: Mapping[str, _Binding], staged: bool) -> Node:
        how = t.word.form
        if how == "let":
            return self._let(t, heads, x, env, staged)
        if how == "tie":
            return self._tie(t, heads, x, env, staged)
        if how == "tied":
            binding = env[t.settings["name"]]
            return self.form(t.kids[0], heads, x, binding.env) if binding.inline else word(binding.name)
        if how == "bound":
            if t.settings["name"] not in env:  # an input
                return t.node
            binding = env[t.settings["name"]]
            # scores would come under the support of the read that uses them
            placed = isinstance(t.out, Score) and t.context.place is not None
            if binding.inline and binding.x is x and not placed:
                return self.form(binding.value, heads, x, binding.env)
            return word(binding.name)
        if isinstance(t.word, Macro):
            return self.form(t.kids[0], heads, x, env, staged)
        own = (
            (t.context.heads, t.context.summed)
            if not staged and isinstance(t.word, PerHead) and t.word.headed(t)
            else heads
        )
        rebinds = isinstance(t.word, Rebinding) and t.word.rebinds(t)
        forms = []
        for i, kid in enumerate(t.kids):
            if how == "place" and i:  # what the place chooses by stands outside, at one head
                forms.append(self.form(kid, ONE, x, env))
                continue
            forms.append(self.form(kid, own, object() if rebinds else x, env, how == "read"))
            if how in ("chain", "repeat") and forms[-1] is not X:
                x = object()
        node = t.word.written(t, tuple(forms))
        if staged:
            return node
        support = t.context.place
        if (
            support
            and (how == "read" or isinstance(t.word, Match))
            and not any(place_word(p).chooses(p) for p in support)
        ):
            written = written_supports(support)
            node = node if written is everywhere() else place(node, written)
        return place(node, heads_place(*own)) if own != heads else node

    def _let(self, t: Typed, heads: Heads, x: object, env: Mapping[str, _Binding], staged: bool) -> Node:
        """A value that is used once, or costs nothing, is put in place where x is the x of the binding."""
        name, value, body = t.settings["name"], t.kids[0], t.kids[1]
        bound = self.form(value, heads, x, env)
        inline = not isinstance(value.word, Standalone) and (_uses(body, name) == 1 or not _costs(value))
        binding = _Binding(value, x, env, self._name(bound), inline)
        inner = self.form(body, heads, x, {**env, name: binding}, staged)
        return Let(binding.name, bound, inner) if _free(inner, binding.name) else inner

    def _tie(self, t: Typed, heads: Heads, x: object, env: Mapping[str, _Binding], staged: bool) -> Node:
        """Weights that are used once are put in place."""
        name, body = t.settings["name"], t.kids[0]
        first = _first_use(body, name)
        if first is None:
            return self.form(body, heads, x, env, staged)
        bound = self.form(first.kids[0], heads, object(), env)
        binding = _Binding(t, x, env, self._name(bound), _uses(body, name) == 1)
        inner = self.form(body, heads, x, {**env, name: binding}, staged)
        return Tie(binding.name, bound, inner) if _free(inner, binding.name) else inner

    def _name(self, bound: Node) -> str:
        """A name that follows from what is bound, so that sorting by text does not depend on the order of bindings."""
        name = f"b{_hash(text(bound))}"
        self._given[name] += 1
        return name if self._given[name] == 1 else f"{name}_{self._given[name]}"


def _free(node: Node, name: str) -> bool:
    """Whether a phrase uses a name that stands outside of it: a closed part of it may bind the same name again."""
    if name not in node.names:
        return False
    match node:
        case Binder(bound, value) if bound == name:
            return _free(value, name)
    return name_of(node) is not None or any(_free(kid, name) for kid in node.kids)


def _uses(t: Typed, name: str) -> int:
    """How often a bound name will be written: a value that costs nothing is put in place at each of its own uses."""
    if t.word.form in ("bound", "tied") and t.settings["name"] == name:
        return 1
    if t.word.form in ("let", "tie") and t.settings["name"] == name:
        return _uses(t.kids[0], name) if t.word.form == "let" else 0
    if isinstance(t.node, Let) and name in t.node.value.names:
        value, body = t.kids
        written = _uses(body, t.settings["name"])
        copies = min(written, 1) if _costs(value) else written
        return copies * _uses(value, name) + _uses(body, name)
    return sum(_uses(kid, name) for kid in t.kids)


def _first_use(t: Typed, name: str) -> Typed | None:
    if t.word.form == "tied" and t.settings["name"] == name:
        return t
    return next((use for use in (_first_use(kid, name) for kid in t.kids) if use is not None), None)


def _costs(t: Typed) -> bool:
    """Whether writing a phrase twice would add weights or products."""
    return bool(t.word.weights(t)) or t.word.macs(t) > 0 or any(_costs(kid) for kid in t.kids)


NAMES = "abcdfgijklmnopqrstuvwyz"  # e is left to a field of edges


def renamed(node: Node, names: Mapping[str, str], depth: int) -> Node:
    """Bindings in order of first use, named a, b, c, .. by how many binders they stand in."""
    return _renamed(node, names, depth) if names else _renamed_closed(node, depth)


@memo
def _renamed_closed(node: Node, depth: int) -> Node:
    return _renamed(node, {}, depth)


def _renamed(node: Node, names: Mapping[str, str], depth: int) -> Node:
    if isinstance(node, Binder):
        binds, body = _ordered(node)
        renaming = dict(names)
        written: list[tuple[str, Node]] = []
        for old, value in binds:
            new = _letter(depth + len(written))
            written.append((new, renamed(value, renaming, depth + len(written))))
            renaming[old] = new
        result = renamed(body, renaming, depth + len(written))
        for new, value in reversed(written):
            result = type(node)(new, value, result)
        return result
    own = name_of(node)
    if own is not None:
        return word(names[own]) if own in names else node
    if not names and not _has_binder(node):
        return node
    return joined(node, tuple(renamed(kid, names, depth) for kid in node.kids))


def _letter(depth: int) -> str:
    free = [name for name in NAMES if name not in words()]
    return free[depth] if depth < len(free) else f"b_{depth}"


def _ordered(node: Binder) -> tuple[list[tuple[str, Node]], Node]:
    """Bindings of one kind that follow each other, by first use in the body, what they need before them."""
    values: dict[str, Node] = {}
    body: Node = node
    while isinstance(body, Binder) and type(body) is type(node) and body.name not in values:
        values[body.name] = body.value
        body = body.body
    order: list[tuple[str, Node]] = []

    def visit(phrase: Node) -> None:
        for used in walk(phrase):
            name = name_of(used)
            if name is not None and name in values:
                value = values.pop(name)
                visit(value)
                order.append((name, value))

    visit(body)
    return order, body


@memo
def _has_binder(node: Node) -> bool:
    return isinstance(node, Binder) or any(_has_binder(kid) for kid in node.kids)


def symbolic(node: Node) -> Node:
    """The laws that need no numbers: what abbreviates is written out where no size depends on the input, neutral parts
    and said defaults are dropped, sums and products sorted, bindings named. Bindings stay where they are.
    """
    form = _symbolic(_by_value(node, {}))
    return form if form.open else renamed(form, {}, 0)


def _by_value(node: Node, names: Mapping[str, str]) -> Node:
    """Bound names that follow from what is bound, so that sorting by text does not depend on the names."""
    if not isinstance(node, (Let, Tie)):
        own = name_of(node)
        if own is not None:
            return word(names[own]) if own in names else node
        return joined(node, tuple(_by_value(kid, names) for kid in node.kids))
    bound = _by_value(node.value, names)
    name = f"b{_hash(text(_symbolic(bound)))}"
    while name in names.values():
        name += "_"
    return type(node)(name, bound, _by_value(node.body, {**names, node.name: name}))


@memo
def _symbolic(node: Node) -> Node:
    kids = tuple(_symbolic(kid) for kid in node.kids)
    match node:
        case Power() if (number := count_of(kids[1])) is not None:
            if number * (len(kids[0].kids) if isinstance(kids[0], Sequence) else 1) > LARGEST:
                return joined(node, kids)
            return chain(Sequence, [kids[0]] * number) if number else X
        case Sequence() | Read():
            kept = [kid for kid in chain(type(node), kids).kids or kids if kid is not X and not neutral(kid)]
            return chain(type(node), kept) if kept else X
        case Product():
            return chain(Product, sorted(chain(Product, kids).kids, key=text))
        case Sum(signs) if "-" not in signs:
            flat = total(signs, kids)
            assert isinstance(flat, Sum)
            return Sum(flat.signs, tuple(sorted(flat.kids, key=text))) if "-" not in flat.signs else flat
    node = joined(node, kids)
    known = words().get(node.name) if isinstance(node, nodes.Word) else None
    if known is None or not isinstance(known, Respelled) or node is X or node.open:
        return node
    try:
        other = known.symbolic(node)
    except Mismatch:  # it takes numbers, or is ill-formed
        return node
    return node if other is None else _symbolic(other)
