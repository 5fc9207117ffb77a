"""Sentences as users hold them."""

from __future__ import annotations

from dataclasses import dataclass, field

from metamixer.errors import LanguageError
from metamixer.language.checking.inference import Typed, check_node
from metamixer.language.checking.types import Field, Given, Mismatch, field_of, start
from metamixer.language.syntax.nodes import DEEPEST, Node, Sequence, chain
from metamixer.language.syntax.parser import Spans, parse_node, pointed
from metamixer.language.syntax.printer import text

LARGEST = 100_000  # phrases of one network, repetitions written out


@dataclass(frozen=True, eq=False)
class Sentence:
    """An architecture, or a part of one. ``str`` prints it; equal sentences compare equal."""

    node: Node
    source: str | None = None
    spans: Spans = field(default_factory=dict, repr=False)
    begun: Node | None = field(default=None, repr=False)  # a sequence that it begins with: what is known of it holds

    def __str__(self) -> str:
        return text(self.node)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sentence) and self.node is other.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __reduce__(self) -> tuple[object, ...]:
        return parse, (str(self),)

    def then(self, *words: Node) -> Sentence:
        """This sentence followed by other phrases, such as a task's head."""
        longer = chain(Sequence, [self.node, *words])
        return Sentence(longer, begun=self.node if isinstance(self.node, Sequence) else None)

    def typed(self, channels: int, grid: tuple[int, ...], context: Given = None, lenient: bool = False) -> Typed:
        """The checked tree for an input of ``channels`` channels on ``grid``, and further ones.

        With ``lenient`` it may hold words without an effect on so small a grid: a ready-made network is built for
        smaller images than it was designed for, while a search should not propose what does nothing.

        Raises:
            LanguageError: the sentence does not fit that input, or has choices left.
        """
        where = start(channels, tuple(grid), context, lenient)
        try:
            node = self.node
            if node.choices:
                raise Mismatch("the sentence has choices left", "draw an architecture: Space(..).draw(..)", node)
            if node.open:
                from metamixer.language.spaces.drawing.sampling import settle

                node = settle(node, where)
            if node.nesting > DEEPEST:
                raise Mismatch(
                    f"phrases stand {node.nesting} deep inside one another", f"{DEEPEST} levels are the limit"
                )
            tree: Typed = check_node(node, where, self.begun if node is self.node else None)
            field_of(tree.out, "the sentence")
            if tree.occurrences > LARGEST:
                raise Mismatch(
                    f"the sentence stands for {tree.occurrences:,} phrases once repetitions are written out",
                    f"{LARGEST:,} are the limit; take smaller counts",
                )
        except Mismatch as mismatch:
            raise self.error(mismatch) from None
        except RecursionError:  # many copies of one each, one behind the other
            raise self.error(Mismatch("the sentence repeats more than can be followed", "write e^1000")) from None
        return tree

    def key(self, channels: int | None = None, grid: tuple[int, ...] | None = None, context: Given = None) -> str:
        """Hash of the canonical form (docs/language.md#canonical-form): equal for equal architectures.

        With an input type sizes are numbers. Without one they stay symbolic: abbreviations are written out where no
        size needs the input, and laws that ask for numbers or types are not applied, so that some equal architectures
        have several such keys; unequal ones never share one.
        """
        from metamixer.language.canonical import key

        return key(self, channels, grid, context)

    def error(self, mismatch: Mismatch) -> LanguageError:
        """What does not fit, with its place in this sentence's text."""
        source = self.source if self.source is not None else str(self)
        span = self.spans.get(mismatch.node) if mismatch.node is not None else None
        if span is None:
            inside = f" in {text(mismatch.node)}" if mismatch.node is not None else ""
            return LanguageError(
                pointed(source, max(source.find(inside[4:]), 0), mismatch.message + inside), None, mismatch.advice
            )
        return LanguageError(pointed(source, span[0], mismatch.message), None, mismatch.advice)


def parse(source: str) -> Sentence:
    """Reads a sentence; ``str`` of the result prints it back.

    Raises:
        LanguageError: the text is no sentence, with line, column and what was expected.
    """
    node, spans = parse_node(source)
    return Sentence(node, source, spans)


def check(sentence: Sentence | str, channels: int, grid: tuple[int, ...], context: Given = None) -> Field:
    """The output type for an input field ``(B, *grid, channels)``.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of the input.
        grid: length of each axis of the input.
        context: a second input, the ``ctx`` of the sentence: ``Field(grid, channels)``; several by their names, which
            the sentence writes ``ctx(name)``.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    return field_of(sentence.typed(channels, grid, context).out)
