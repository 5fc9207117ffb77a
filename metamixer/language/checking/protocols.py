"""What else a word may be: small protocols that it has or has not, beyond the few methods of `Word`.

A protocol is a class of its own that a word inherits beside its base: ``class L1(Normaliser, RowNormaliser)``. Walkers
ask ``isinstance(word, RowNormaliser)``, never for a name, so a word of any package that has a protocol is treated like
the built-in ones. Plain classes, not `typing.Protocol`: they are asked for millions of times in a search, and a class
says on purpose what a method of the same name might say by chance. Where a protocol has methods without a body, a word
that lacks one is refused when it is registered.

Each docstring says what the protocol is for, who asks for it, and what holds for a word without it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from metamixer.language.checking.affine import Affine, Scaling, Tensors
from metamixer.language.syntax.nodes import Node

if TYPE_CHECKING:
    from metamixer.language.checking.inference import Typed

Evaluate = Callable[[int, Any, Mapping[str, Any], Any], Any]
P = TypeVar("P")


def expect(word: object, protocol: type[P]) -> P:
    """A word as one that has a protocol, where a plan has made sure of it.

    Raises:
        TypeError: it has not.
    """
    if not isinstance(word, protocol):
        raise TypeError(f"{word!r} is no {protocol.__name__}")
    return word


# -- how sub-phrases are evaluated -------------------------------------------------------------------------------------


class Combinator:
    """Its value follows from those of its sub-phrases: it runs them itself, each any number of times.

    Asked by: `compile.modules`, `reference.evaluate`. Without it a word is a leaf: its sources are evaluated on x,
    then ``apply`` (``dense`` in the reference) is called with them.
    """

    @abstractmethod
    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        """The value, from ``evaluate(i, x, env, state)`` of sub-phrase i; ``dense`` for the slow and obvious way."""


class EnvironmentReader:
    """A leaf whose kernel takes, behind its sources, values that phrases around it provide.

    Asked by: `compile.modules`, `compile.plan`, `compile.reads`, `reference.evaluate`. Without it a kernel takes the
    sources and nothing else.
    """

    @abstractmethod
    def needs(self, t: Typed) -> tuple[str, ...]:
        """Names of these values; () where an occurrence takes none."""


class Repeating:
    """Its sub-phrases run several times for one input: on windows, on groups of channels.

    Asked by: `cost.count`. Without it they run once.
    """

    @abstractmethod
    def times(self, t: Typed) -> int:
        """How often; costs of the sub-phrases are multiplied by it."""


# -- checking and canonical form ---------------------------------------------------------------------------------------


class Concluding:
    """Looks at a checked occurrence as a whole, once, when its parts are known.

    Asked by: `language.checking.inference`. Without it an occurrence is right when its parts are, and stands for
    itself.
    """

    @abstractmethod
    def conclude(self, t: Typed) -> Typed:
        """The occurrence that stands for a checked one: itself, or the part of it that matters.

        Raises:
            Mismatch: its parts do not go together.
        """


class WidthScope:
    """Its operand is a scope for the letter ``D``.

    Asked by: `language.spaces.drawing.sampling`. Without it ``D`` in a sub-phrase is the width of the scope around.
    """


class Spectral:
    """Reads spectra, so that it may stand inside ``@fft``.

    Asked by: `language.checking.plain`. Without it a spectrum as source is a mismatch.
    """


class Respelled:
    """Phrases of it may be another spelling of something else, which is known without the input's size.

    Asked by: `language.canonical`. Without it a phrase is its own spelling.
    """

    @abstractmethod
    def symbolic(self, node: Node) -> Node | None:
        """What a phrase is another spelling of where the input, and so every number, is not known; None for itself.

        Raises:
            Mismatch: it takes numbers that only an input gives.
        """


class PerHead:
    """Its meaning depends on the number of heads in force, which the canonical form writes at the read.

    Asked by: `language.canonical`, `words.reads`. Without it ``@h(4)`` around a word makes no difference to it.
    """

    def headed(self, t: Typed) -> bool:
        """Whether this occurrence depends on it."""
        return True


class Rebinding:
    """Its sub-phrases may read another ``x`` than it reads itself.

    Asked by: `language.canonical`, which must not move a bound value across. Without it they read the same ``x``.
    """

    @abstractmethod
    def rebinds(self, t: Typed) -> bool:
        """Whether those of this occurrence do."""


class Neutral:
    """Keeps its input, for any input: the canonical form leaves it out.

    Asked by: `language.canonical`, `compile.plan`, `explore.reads`, `explore.walk`, `words.combinators`. Without it a
    word is taken to change something.
    """


class Standalone:
    """A bound value that stays a binding even where it is used once.

    Asked by: `language.canonical`. Without it a value that is used once is put in place.
    """


class Contracting:
    """With the word in front of it, it may be what one other word is: ``exp -> l1`` is ``softmax``.

    Attributes:
        behind: name of the stage in front -> name of the word that both together are.

    Asked by: `words.reads`. Without it two stages stay two.
    """

    behind: ClassVar[Mapping[str, str]]


# -- reads: a match, stages, a weighted sum ----------------------------------------------------------------------------


class Match:
    """Makes content scores ``<q, k>``: the head of a read that runs as one kernel.

    Asked by: `compile.plan`, `compile.reads`, `compile.chunks`, `cost.count`, `language.canonical`, `explore.reads`,
    `explore.walk`. Without it a read runs stage by stage.
    """

    def scale(self, t: Typed) -> float:
        """Factor on the scores."""
        return 1.0

    @abstractmethod
    def queries(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        """The queries, (B, tokens, channels), from the sources and the weights of a bank of queries."""

    def codes(self, t: Typed) -> bool:
        """Whether the best slot follows from the query alone; see ``best``."""
        return False

    def best(self, t: Typed, q: Any) -> tuple[Any, Any]:
        """With ``codes``: for queries (.., channels of a head) the best slot, and its softmax over all slots."""
        raise NotImplementedError


class WeightedSum:
    """Aggregates values with scores, ``sum_j s[i, j] v[j]``: the end of a read that runs as one kernel.

    Asked by: `compile.plan`, `cost.count`, `explore.reads`, `explore.walk`. Without it a read runs stage by stage.
    """


class AdditiveBias:
    """A stage that adds to scores what does not depend on the input.

    Asked by: `compile.plan`, `compile.reads`, `explore.reads`: a fused kernel takes the sum as its mask. Without it a
    stage in front of the softmax makes the read run stage by stage.
    """

    @abstractmethod
    def bias(self, t: Typed, w: Any) -> Any:
        """What is added, (heads, tokens, slots)."""


class Fading:
    """A stage that only makes scores fade by ``exp(-rate * distance in memory)``.

    Asked by: `compile.plan`, `compile.chunks`: such a causal read runs in chunks, linear in the tokens. Without it a
    stage keeps a read from that.
    """

    @abstractmethod
    def fades(self, t: Typed) -> tuple[float, ...]:
        """The rate of each head."""


class Truncating:
    """A stage that leaves all slots out but a number of them for each token and head.

    Asked by: `compile.plan`. Without it all slots count.
    """

    @abstractmethod
    def kept(self, t: Typed) -> int | None:
        """How many this occurrence keeps; None where it stands as something else."""


class FusedNormaliser:
    """The softmax over the slots: with content scores it is what scaled_dot_product_attention computes.

    Asked by: `compile.plan`. Without it no fused kernel is taken.
    """


class MarginalNormaliser:
    """Makes ``diag(a) S diag(b) + alpha`` of scores S from their sums alone: values may be summed first.

    See docs/algebra.md#values-first. Asked by: `compile.plan`, `compile.reads`, `explore.walk`. Without it scores are
    formed.
    """

    @abstractmethod
    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        """What it makes of values with the scores ``q k^T``, without forming them.

        ``q``, ``k``, ``v``: (B, heads, tokens or slots, channels of a head). Counted products are those of
        ``q @ (k.mT @ v)``.
        """


class RowNormaliser:
    """Needs of scores but the sum over the slots of each token.

    Asked by: `compile.plan`, `compile.chunks`. Without it a read of what came before is not run in chunks.
    """

    @abstractmethod
    def by_rows(self, values: Any, sums: Any) -> Any:
        """What it makes of sums over values and of scores, (.., channels) and (.., 1)."""


class EverySlot:
    """Needs every slot present, so that nothing can be masked before it.

    Asked by: `explore.walk`: a read with it has no causal form. Without it slots may be left out.
    """


# -- re-parameterisation -----------------------------------------------------------------------------------------------


class AffineMap:
    """May be an affine map of its first source in evaluation, which fusion puts together with others.

    Asked by: `compile.fuse`. Without it a word stays as it is.
    """

    @abstractmethod
    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        """The occurrence as that map; None where it is none."""


class ChannelScaling:
    """May be a factor and a shift for each channel in evaluation, which fusion puts into a map beside it.

    Asked by: `compile.fuse`. Without it a word stays as it is.
    """

    @abstractmethod
    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        """The occurrence as that; None where it is not."""


class Projection:
    """``y = x W^T + b`` for every token, with the settings ``g``, ``b``, ``sets`` and ``fix`` of ``lin``.

    Asked by: `compile.weights`: projections of one input run as one product; `explore.reads`, `explore.roles`,
    `explore.walk`. Without it a word runs by itself.
    """


class Shortcut:
    """As a term of a sum, it is the way around the other terms, as x is in ``x + e``.

    Asked by: `compile.model`: stochastic depth leaves out the others. Without it a term is a branch.
    """


# -- what attributes follow from ---------------------------------------------------------------------------------------


class RelativePositions:
    """Treats pairs of tokens by where they stand to each other.

    Asked by: `explore.reads`, `explore.walk`: a read with it is no function of a set. Without it pairs are alike.
    """


class NonNegative:
    """Results are not negative, whatever the input.

    Its ``sign`` says so; name it before the base: ``class Relu(NonNegative, Pointwise)``. Asked by: nobody, the method
    is. Without it ``Word.sign`` says that nothing is known.
    """

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        """See ``Word.sign``."""
        return "positive"


class Discontinuous:
    """A comparison of numbers decides what is kept: results jump where two are equal.

    Asked by: `explore.reads`; `testing.checks`, which then compares in double precision. Without it results are
    compared in float32.
    """
