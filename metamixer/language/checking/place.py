"""Words behind ``@``: where an operand stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from metamixer.language.checking.affine import Affine
from metamixer.language.checking.arguments import argument
from metamixer.language.checking.plain import Plain
from metamixer.language.checking.registry import only, words
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Type
from metamixer.language.checking.word import (
    Spans,
)
from metamixer.language.syntax.nodes import At, Node, size, word

if TYPE_CHECKING:
    pass


class PlaceWord(Plain):
    """A word behind ``@``. ``inside`` says where the operand stands, ``outside`` what its result is."""

    kinds: ClassVar[tuple[str, ...]] = ("place",)
    reads = True  # a place inside of a support stands behind the same read
    rewidth: ClassVar[bool] = False  # whether the operand sees other channels, and so is a scope for D
    foresees: ClassVar[bool] = False  # chooses slots by tokens that come later, whatever is masked
    supports: ClassVar[bool] = False  # whether it says which slots each token has, and so binds a read
    prefix: ClassVar[bool] = False  # whether the slots of a token are itself and all before it
    trains: ClassVar[bool] = False  # whether it acts while training only
    everywhere: ClassVar[bool] = False  # of a support: whether it is the one that leaves nothing out
    heads: ClassVar[str] = ""  # of the places that put heads in force: their results are ``side by side`` or ``summed``

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx

    def outside(self, ctx: Context, place: Place, out: Type) -> Type:
        return out

    def around(self, field: Field, inner: Affine) -> Affine | None:
        """Of a view of ``field``: what it makes of an affine map, if that is one too."""
        return None

    def chooses(self, place: Place) -> bool:
        """Whether it depends on the data. ``apply`` and ``dense`` then compute it from its sources: for a support an
        index table (B, 1 or heads, tokens, slots), -1 where a slot is absent, or which tokens of the memory are
        present (B, 1 or heads, 1 or tokens, memory), or None for all; for a view the order of the tokens.
        """
        return False

    def by_head(self, place: Place) -> bool:
        """Of a support: whether the slots differ by head."""
        return False

    def stage(self, place: Place) -> Node | None:
        """Of a support: the stage behind the match that it stands for, instead of slots of its own."""
        return None

    def made_for(self, place: Place) -> int:
        """Of a support: how many heads it tells apart; it serves a read of as many heads, and if 1, of any."""
        return 1

    # Of a support; a ground is a grid with the number of extra tokens.

    def fits(self, place: Place, asks: tuple[Any, int], memory: tuple[Any, int]) -> None:
        """Raises Mismatch if tokens that ask and a memory do not go with it; by default they stand on one grid."""
        if asks != memory or memory[1]:
            raise Mismatch(f"{place.word} needs query and keys on one grid, without extra tokens")

    def distinct(self, place: Place) -> bool:
        """Whether the slots of a token are different tokens of the memory, and nothing else."""
        return True

    def own(self, place: Place) -> bool:
        """Whether every token is a slot of itself."""
        return False

    def full(self, place: Place) -> bool:
        """Whether it is sure that every token has a slot."""
        return self.own(place)

    def whole(self, place: Place, memory: tuple[Any, int]) -> bool:
        """Whether its slots are all of the memory, some of them absent."""
        return False

    def grouped(self, place: Place, memory: tuple[Any, int]) -> bool:
        """Whether the tokens fall into groups of one size, of several tokens, that share their slots."""
        return False

    def width(self, place: Place, memory: tuple[Any, int]) -> int:
        """How many slots each token has."""
        raise NotImplementedError

    def table(self, place: Place, asks: tuple[Any, int], memory: tuple[Any, int], heads: int) -> Any:
        """Array (1 or heads, 1 or tokens, slots) of indices into the memory, -1 where a slot is absent."""
        raise NotImplementedError

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        """How far a token's slots lie from it along each axis, around the edge where places go there."""
        return (None,) * len(grid)

    def distances(self, place: Place, grid: tuple[int, ...]) -> Any:
        """For each axis, array (tokens, slots) of how far a slot lies from its token, 0 where it lies nowhere."""
        import numpy as np

        here = np.indices(grid).reshape(len(grid), -1)
        rows = self.table(place, (grid, 0), (grid, 0), 1)[0]
        return [np.where(rows >= 0, axis[np.maximum(rows, 0)] - axis[:, None], 0) for axis in here]

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Shifts of the memory along each axis that shift the slots alike; () for any."""
        return ()

    def absents(self, place: Place) -> bool:
        """Whether absent slots take no part in a normaliser."""
        return True

    def support(self, place: Place) -> Node:
        """In canonical form."""
        return word(place.word, *(argument(value) for value in place.values))


def place_word(place: Place) -> PlaceWord:
    """The word that a resolved place came from."""
    found = words()[place.word]
    assert isinstance(found, PlaceWord)
    return found


def written_supports(stack: tuple[Place, ...]) -> Node:
    """Supports in canonical form, the innermost (the last) written first; those that stand for a stage are left out."""
    nodes = [place_word(place).support(place) for place in reversed(stack) if place_word(place).stage(place) is None]
    node = nodes[0] if nodes else everywhere()
    for outer in nodes[1:]:
        node = At(node, outer)
    return node


def everywhere() -> Node:
    """The support that leaves nothing out."""
    return word(only("everywhere"))


def heads_place(number: int, summed: bool) -> Node:
    """The place that puts a number of heads in force, whose results are summed or stand side by side."""
    return word(only("heads", "summed" if summed else "side by side"), size(number))
