"""Checking: a phrase without choices in a context -> its checked tree, or a Mismatch.

The tree of ``Typed`` occurrences is what cost, compile, reference, drawings and the canonical form walk. A phrase
that occurs several times in equal circumstances is checked once and is one object; fresh weights for each
occurrence follow from the path of indices from the root, not from the object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from metamixer.language.checking.protocols import Concluding
from metamixer.language.checking.registry import only
from metamixer.language.checking.types import Bound, Context, Field, Mismatch, Place, Type, field_of
from metamixer.language.checking.vocabulary import Demand, Form, Macro, PlaceWord, Plain, Word, words
from metamixer.language.memo import Memo
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import SIGNS, Node, X, walk, word_name
from metamixer.language.syntax.parser import nearest
from metamixer.language.syntax.printer import text

# What other libraries call words, or have in their networks.
ELSEWHERE = {
    "dropout": "there is none; stochastic depth is drop_path_rate of create_model",
    "linear": "write lin(64)", "dense": "write lin(64)", "mlp": "write ffn(4)", "conv2d": "write fconv(3,64)",
    "depthwise": "write dw(3)", "layernorm": "write norm", "batchnorm": "write bn", "groupnorm": "write gn",
    "attention": "write att(lin,lin,lin)@h(4)", "avgpool": "write avg(3), or pool(7)", "rmsnorm": "write rms",
    "residual": "write res(..)", "identity": "write x", "concat": "write a ++ b", "add": "write a + b",
    "sigmoid": "write sig", "swish": "write silu", "upsample": "write up(2)", "embedding": "write patch(16,192)",
}  # fmt: skip
UNKNOWN = "`metamixer words` lists them; those of a package are known where it is installed"


class Typed:
    """One checked phrase.

    Attributes:
        word: the operator; its methods answer for this occurrence.
        node: the phrase as written.
        settings: resolved sizes, numbers, flags and options.
        kids: checked sub-phrases that are evaluated (sources, terms of a combinator), sizes and places apart.
        context: where it stands; ``x``, ``state``, ``heads`` and ``place`` are short for parts of it.
        out: type of the result.
        occurrences: number of phrases with repetitions written out, itself included.
    """

    __slots__ = ("_memory", "context", "kids", "node", "occurrences", "out", "settings", "word")

    def __init__(
        self, word: Word, node: Node, settings: dict[str, Any], kids: tuple[Typed, ...], context: Context, out: Type
    ) -> None:
        self.word, self.node, self.settings, self.kids = word, node, settings, kids
        self.context, self.out = context, out
        self.occurrences: int = 1 + sum([kid.occurrences for kid in kids])
        self._memory: dict[Any, Any] = {}  # see metamixer.language.memo

    @property
    def x(self) -> Field:
        return self.context.x

    @property
    def state(self) -> Type:
        return self.context.state

    @property
    def inputs(self) -> tuple[Type, ...]:
        """Types of what the word's kernel receives: its sources, in a stage with the state in front."""
        sources = tuple(kid.out for kid in self.kids)
        return (self.state, *sources) if self.context.kind == "stage" else sources

    @property
    def further(self) -> dict[str, Field]:
        """Types of the further inputs by name."""
        return {name: bound.type for name, bound in self.context.env if bound.given}

    @property
    def signs(self) -> str:
        """The sign of each term of a sum; of anything else + for each part."""
        return self.node.signs if isinstance(self.node, nodes.Sum) else "+" * len(self.kids)

    @property
    def text(self) -> str:
        return text(self.node)

    @property
    def roles(self) -> tuple[str, ...]:
        """What each of ``kids`` is to the word: q, k, v, x, or nothing for the parts of a combinator."""
        roles = self.word.roles
        return roles[1:] if self.context.kind == "stage" else roles

    def __deepcopy__(self, memo: Any) -> Typed:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return check_node, (self.node, self.context)

    def __repr__(self) -> str:
        return f"<{self.text} : {self.out}>"


class Refusal(NamedTuple):
    """Why a phrase does not fit, without the frames that an exception holds."""

    message: str
    advice: str | None
    node: Node | None


_checked: Memo[Context, Any] = Memo()  # by what a phrase can see of its context


def check_node(node: Node, ctx: Context, begun: Node | None = None) -> Any:
    """The checked tree of a phrase; for sizes, places and flags their value.

    Args:
        node: the phrase.
        ctx: where it stands.
        begun: a sequence that the phrase begins with and that was checked here, so that only the rest is left to do.

    Raises:
        Mismatch: the phrase does not fit; ``.node`` is the innermost phrase at fault.
    """
    seen = ctx
    if ctx.env or ctx.depth:  # what the phrase cannot see makes no difference
        names = node.names
        seen = ctx._replace(env=tuple(item for item in ctx.env if item[0] in names), depth=())
    checked = _checked.of(node)
    known = checked.get(seen)
    if known is None:
        try:
            known = checked[seen] = _check(node, ctx, begun)
        except Mismatch as mismatch:
            if mismatch.node is None:
                mismatch.node = node
            checked[seen] = Refusal(mismatch.message, mismatch.advice, mismatch.node)
            raise
    if type(known) is Refusal:
        raise Mismatch(*known)
    return known


def kind_of(node: Node, ctx: Context, rules: dict[str, Node] | None = None) -> str:
    """What a phrase standing as an argument is: ``size`` or ``term``."""
    match node:
        case nodes.Size() | nodes.Range() | nodes.Number():
            return "size"
        case nodes.Choice() | nodes.Slot():
            return kind_of(node.kids[0], ctx, rules)
        case nodes.Taken():
            return kind_of(node.option, ctx, rules)
        case nodes.Word(name) if not node.kids:
            bound = ctx.find(name)
            if bound is not None:
                return kind_of(bound.node, ctx, rules) if bound.kind == "pick" and bound.node else "term"
            if rules and name in rules:
                return kind_of(rules[name], ctx, rules)
    return "term"


def word_of(node: Node, ctx: Context, rules: dict[str, Node] | None = None) -> Word:
    """The word behind a phrase.

    Raises:
        Mismatch: no word has this name, or it cannot stand in this position.
    """
    known = words()
    name = word_name(node)
    word = known.get(name) if name not in SIGNS or not isinstance(node, nodes.Word) else None
    if word is None and name in ELSEWHERE:
        raise Mismatch(f"unknown word {name}", ELSEWHERE[name], node)
    if word is None:
        names = [
            *(n for n in known if n.isidentifier() and n not in SIGNS),
            *(rules or {}),
            *(n for n, _ in ctx.env),
        ]
        close = nearest(name, names)
        raise Mismatch(f"unknown word {name}", f"did you mean {close}?" if close else UNKNOWN, node)
    if ctx.kind not in word.kinds:
        position = {
            "term": "a term",
            "stage": "a stage behind ->",
            "place": "a place behind @",
            "size": "a size",
            "flag": "an option",
            "bank": "a bank behind #",
            "memory": "a memory",
        }[ctx.kind]
        raise Mismatch(f"{text(node)} cannot stand as {position}", f"it is a {' or a '.join(word.kinds)}", node)
    if word.refuses and (why := word.refuses.get(len(ctx.x.grid))):
        raise Mismatch(f"{name} on a grid of {len(ctx.x.grid)} axes: {why}", None, node)
    return word


def _check(node: Node, ctx: Context, begun: Node | None) -> Any:
    match node:
        case nodes.Slot(_, inner):
            return check_node(inner, ctx)
        case nodes.Word(name) if ctx.kind == "flag":
            return name
        case nodes.Word(name) if not node.kids:
            bound = ctx.find(name)
            if bound is not None and not (bound.given and ctx.kind == "place"):  # an input is no place
                return _use(node, name, bound, ctx)
    word = word_of(node, ctx)
    done: list[Type] = []
    kids: list[Typed] = []
    behind: list[Typed] = []
    step = word.step(node, ctx, (), kind_of)
    if word.form is Form.CHAIN and isinstance(step, Demand):
        return _chain(word, node, ctx, step.context, begun)
    while isinstance(step, Demand):
        kid = node.kids[step.kid] if isinstance(step.kid, int) else step.kid
        try:
            result = check_node(kid, step.context)
        except Mismatch as mismatch:
            if isinstance(step.kid, int) or any(part is mismatch.node for part in walk(node)):
                raise
            raise Mismatch(mismatch.message, mismatch.advice, node) from None  # an expansion stands nowhere in the text
        if type(result) is Typed:
            kids.append(result)
            done.append(result.out)
        else:
            done.append(result)
            behind += result.kids if type(result) is Places else ()
        step = word.step(node, ctx, tuple(done), kind_of)
    if ctx.kind in ("size", "flag", "bank"):
        return step.out
    kids += behind  # what places choose by comes after the phrases of the word itself
    if ctx.kind == "place" and not _chooses(word, step.out):
        return Places(step.out, kids)
    if isinstance(word, Plain) and not isinstance(word, Macro):
        wanted = len(word.sources) - (ctx.kind == "stage")
        kids += [check_node(X, ctx.source()) for _ in range(wanted - len(kids))]
    typed = Typed(word, node, dict(step.settings), tuple(kids), ctx, step.out)
    if isinstance(word, Concluding):
        typed = word.conclude(typed)
    return Places(step.out, [typed]) if ctx.kind == "place" else typed


class Places(tuple[Place, ...]):
    """Resolved places, with the checked phrases of those that depend on the data."""

    kids: tuple[Typed, ...]

    def __new__(cls, places: tuple[Place, ...], kids: list[Typed]) -> Places:
        made = super().__new__(cls, places)
        made.kids = tuple(kids)
        return made


def _chooses(word: Word, places: tuple[Place, ...]) -> bool:
    """Whether a phrase behind ``@`` is a place that depends on the data, of this word itself."""
    return isinstance(word, PlaceWord) and [p.word for p in places] == [word.name] and word.chooses(places[0])


def _chain(word: Word, node: Node, ctx: Context, inner: Context, begun: Node | None) -> Typed:
    """Sub-phrases that each read what the one before made: what ``word.step`` would ask for, without asking."""
    kids: list[Typed] = []
    x = inner.x
    known = _checked.of(begun).get(ctx) if begun is not None else None
    if type(known) is Typed and known.word is word:
        kids += known.kids
        if known.out != x:
            x = known.out
            inner = inner._replace(x=x)
    for kid in node.kids[len(kids) :]:
        typed = check_node(kid, inner)
        out = field_of(typed.out if type(typed) is Typed else typed)
        if out != x:
            x = out
            inner = inner._replace(x=x)
        kids.append(typed)
    return Typed(word, node, {}, tuple(kids), ctx, x)


def _use(node: Node, name: str, bound: Bound, ctx: Context) -> Any:
    """A bound name standing for its value or its set of weights."""
    if bound.kind == "let":
        if ctx.kind not in ("term", "stage", "memory"):
            what = {"place": "no place behind @", "size": "no size"}.get(ctx.kind, f"no {ctx.kind}")
            raise Mismatch(f"{name} is a value that let binds, and {what}", None, node)
        return Typed(words()[only("use_of", "let")], node, {"name": name}, (), ctx, bound.type)
    assert bound.node is not None
    inner = check_node(bound.node, ctx.enter()._replace(env=bound.env))
    return (
        Typed(words()[only("use_of", "tie")], node, {"name": name}, (inner,), ctx, inner.out)
        if type(inner) is Typed
        else inner
    )
