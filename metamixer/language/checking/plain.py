"""Words that read their arguments by a declared signature, and abbreviations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from metamixer.language.checking.arguments import argument, count, literal, spelled
from metamixer.language.checking.protocols import Combinator, Evaluate, Respelled, Spectral
from metamixer.language.checking.registry import words
from metamixer.language.checking.types import Context, Field, Mismatch, Type
from metamixer.language.checking.word import (
    Demand,
    Done,
    KindOf,
    Word,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, name_of, word

if TYPE_CHECKING:
    from metamixer.language.checking.inference import Typed

REQUIRED = object()


class Plain(Word, Respelled):
    """A word with arguments: sizes, sources, flags and keywords.

    Attributes:
        sizes: name -> default for each size slot, in order; REQUIRED where there is none, None where it is optional.
        sources: roles of the source slots, in order; a missing source is ``x``. In a stage the first source is the
            result of the stage before and is not written.
        keywords: name -> default for each keyword that takes a size or a number.
        options: keyword -> default for each keyword that takes a name (``gate=hsig``).
        flags: names that may stand as arguments.
        scopes: name -> number of sizes, for what may stand in square brackets behind the word.
    """

    sizes: ClassVar[Mapping[str, Any]] = {}
    sources: ClassVar[tuple[str, ...]] = ()
    keywords: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, str]] = {}
    flags: ClassVar[tuple[str, ...]] = ()
    bare_scope: ClassVar[bool] = False  # whether it is a scope for its one term, and nothing else
    scopes: ClassVar[Mapping[str, int]] = {}
    instead: ClassVar[str] = ""  # what to write where it is given a size that it does not take
    reads: ClassVar[bool] = False  # whether it may stand under a support

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done | Demand:
        """The conclusion from resolved settings and the types of the sources."""
        raise NotImplementedError

    def slots(self, node: Node, ctx: Context, kind_of: KindOf) -> tuple[tuple[str, str], ...]:
        """(kind, slot) of each argument in text order; kind is size, term, flag or option."""
        match node:
            case nodes.Word(name, arguments, keys, scope, within):
                in_scope = len(within)
            case _:
                raise Mismatch(f"{self.name} is written with its name", self.signature(), node)
        if scope and scope not in self.scopes:
            known = ", ".join(f"{name}[{s}]" for s in self.scopes) or name
            raise Mismatch(f"{name}[{scope}] is not known", f"write {known}")
        if scope and in_scope != self.scopes[scope]:
            raise Mismatch(f"{name}[{scope}] takes {count(self.scopes[scope], 'size')}, here {in_scope}")
        free_sizes, free_sources = list(self.sizes), list(self.sources[1:] if ctx.kind == "stage" else self.sources)
        slots: list[tuple[str, str]] = []
        for key, arg in zip(keys, arguments, strict=True):
            if key is not None:
                if key in self.options:
                    slots.append(("option", key))
                elif key in self.keywords or key in self.sizes:
                    slots.append(("size", key))
                    if key in free_sizes:
                        free_sizes.remove(key)
                else:
                    keywords = ", ".join([*self.keywords, *self.options]) or "none"
                    raise Mismatch(f"{name} has no keyword {key}=", f"it takes {keywords}", arg)
            elif (flag := name_of(arg)) in self.flags and flag is not None:
                slots.append(("flag", flag))
            elif kind_of(arg, ctx) == "size":
                if not free_sizes:
                    what = f"{name} takes {count(len(self.sizes), 'size')}, this is one too many"
                    raise Mismatch(what, self.instead or self.signature(), arg)
                slots.append(("size", free_sizes.pop(0)))
            else:
                if not free_sources:
                    raise Mismatch(
                        f"{name} takes {count(len(self.sources), 'source')}, this is one too many",
                        self.signature(),
                        arg,
                    )
                slots.append(("term", free_sources.pop(0)))
        missing = [slot for slot in free_sizes if self.sizes[slot] is REQUIRED]
        if missing:
            raise Mismatch(f"{name} needs a size: {missing[0]}", self.signature())
        return (*slots, *(("size", f"scope {i}") for i in range(in_scope)))

    def signature(self) -> str:
        """How the word is written."""
        parts = [s if d is REQUIRED else f"{s}={spelled(d)}" for s, d in self.sizes.items()]
        parts += list(self.sources)
        parts += [f"{key}={spelled(value)}" for key, value in (*self.keywords.items(), *self.options.items())]
        return f"{self.name}({', '.join(parts)})"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if ctx.place is not None and not self.reads:
            raise Mismatch(
                f"a support such as {ctx.place[0].word} binds a read, and {self.name} is none",
                "write @ behind the read: dot(..) -> .. -> mm(..)",
            )
        slots = self.slots(node, ctx, kind_of)
        position = len(done)
        if position < len(slots):
            kind = slots[position][0]
            inner = ctx.source() if kind == "term" else ctx._replace(kind="flag" if kind == "option" else kind)
            return Demand(position, inner)
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        settings |= dict.fromkeys(self.flags, False)
        settings["scope"] = node.scope if isinstance(node, nodes.Word) else None
        given: dict[str, Type] = {}
        for (kind, slot), value in zip(slots, done, strict=True):
            if kind == "term":
                given[slot] = value
            else:
                settings[slot] = True if kind == "flag" else value
        first = {self.sources[0]: ctx.state} if ctx.kind == "stage" and self.sources else {}
        types = tuple(first[role] if role in first else given.get(role, ctx.x) for role in self.sources)
        if not isinstance(self, Spectral) and any(type(kind) is Field and kind.spectral for kind in types):
            known = ", ".join(name for name, known in words().items() if isinstance(known, Spectral))
            raise Mismatch(
                f"{self.name} reads no spectrum, and inside @fft x is one",
                f"there stand {known}, and sums, products and sequences of them",
            )
        return self.type(ctx, settings, types)

    def symbolic(self, node: Node) -> Node | None:
        """Without keywords that say what holds anyway, and sources that are ``x``; keywords in the declared order."""
        if not isinstance(node, nodes.Word) or node.scope or node.in_scope:
            return None
        arguments = list(zip(node.keys, node.arguments, strict=True))
        plain = [kid for key, kid in arguments if key is None]
        while plain and plain[-1] is X:
            plain.pop()
        known = dict(self.keywords) | dict(self.options)
        given = {key: kid for key, kid in arguments if key is not None}
        named = {key: given[key] for key in [*known, *given] if key in given}
        named = {key: kid for key, kid in named.items() if key not in known or literal(kid) != known[key]}
        other = word(node.name, *plain, **named)
        return None if other is node else other

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        while kids and kids[-1] is X:
            kids = kids[:-1]
        sizes = [argument(t.settings[slot]) for slot in self.sizes if t.settings.get(slot) is not None]
        flags = [word(flag) for flag in self.flags if t.settings.get(flag)]
        named = {key: t.settings.get(key) for key in (*self.keywords, *self.options)}
        if scope := t.settings.get("scope"):
            within = tuple(argument(t.settings[f"scope {i}"]) for i in range(self.scopes[scope]))
            return nodes.Word(self.name, kids, scope=scope, in_scope=within)
        return word(
            self.name,
            *sizes,
            *kids,
            *flags,
            **{key: argument(value) for key, value in named.items() if value is not None},
        )


class Macro(Plain, Combinator):
    """A word that is an abbreviation: it means its expansion."""

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        """The phrase that the word stands for; sources are passed through as given."""
        raise NotImplementedError

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        slots = self.slots(node, ctx, kind_of)
        wanted = [i for i, (kind, _) in enumerate(slots) if kind != "term"]
        if len(done) < len(wanted):
            position = wanted[len(done)]
            kind = slots[position][0]
            return Demand(position, ctx._replace(kind="flag" if kind == "option" else kind))
        if len(done) > len(wanted):
            return Done(done[-1])
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        for position, value in zip(wanted, done, strict=True):
            slot = slots[position][1]
            if isinstance(value, float) and not isinstance(settings.get(slot), float):
                raise Mismatch(
                    f"{slot} of {self.name} is a whole size, not {value:g}", self.signature(), node.kids[position]
                )
            settings[slot] = value
        given = {slot: nodes.Slot(i, node.kids[i]) for i, (kind, slot) in enumerate(slots) if kind == "term"}
        sources = tuple(given.get(role, X) for role in self.sources)
        return Demand(self.expand(node, ctx, settings, sources), ctx)

    def symbolic(self, node: Node) -> Node | None:
        """The expansion, sizes as they are written; None where it takes numbers that are not written."""
        from metamixer.language.checking.inference import kind_of

        ctx = Context(Field((1,), 1), 1, (1,))
        slots = self.slots(node, ctx, kind_of)
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        for (kind, slot), kid in zip(slots, node.kids, strict=True):
            if kind != "term":
                match kid:
                    case nodes.Size(written) | nodes.Word(written):
                        settings[slot] = literal(kid) or written
                    case _:
                        raise Mismatch(f"{slot} of {self.name} is a whole size", self.signature(), kid)
        given = {slot: kid for (kind, slot), kid in zip(slots, node.kids, strict=True) if kind == "term"}
        return self.expand(node, ctx, settings, tuple(given.get(role, X) for role in self.sources))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return evaluate(0, x, env, state)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return kids[0]
