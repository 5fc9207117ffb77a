"""Names of a network's tensors that follow its sentence: what a file of weights is written with.

The modules of a network are where its plan puts them (a read's projections may be one matrix), so the names that torch
gives are no promise. These are: ``res_1.att_1.lin_0.weight`` is the weight of the first source, a ``lin``, of the
second phrase, an ``att``, of the second phrase, a ``res``, of the sentence. Each step is the word of a phrase and its
place among the phrases of the one around it, as they were checked: repetitions are written out, an abbreviation holds
what it stands for as its phrase 0, and a tied phrase is named after where it is bound. ``SCHEME`` counts changes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metamixer.compile.modules import Network, kids_of
from metamixer.compile.plan import Path
from metamixer.errors import RecordError
from metamixer.language.checking.inference import Typed

SCHEME = "1"
SHOWN = 3  # names that a message lists


def named_tensors(net: Network) -> dict[str, Tensor]:
    """The parameters and persistent buffers of a network by their names; each is a view into the network's own."""
    prefixes = _prefixes(net.typed)
    return {
        f"{prefixes[path]}.{name}".lstrip("."): value.detach()
        for path, weights in net.store.weights.items()
        for name, value in weights.state_dict(keep_vars=True).items()
    }


def load_tensors(net: Network, given: Mapping[str, Tensor], place: str) -> None:
    """Copy tensors into a network: all of its, and no others.

    Args:
        net: As its sentence was built.
        given: By the names of ``named_tensors``.
        place: Where they come from, for messages.

    Raises:
        RecordError: They are those of another network.
    """
    own = named_tensors(net)
    wrong = [f"{name} is missing" for name in own if name not in given]
    wrong += [f"{name} has no place in it" for name in given if name not in own]
    wrong += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        raise RecordError(
            "these are weights of another network",
            "\n".join([place, *wrong[:SHOWN], *more]),
            "build the network from the sentence, and for the input, in the file's metadata",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(given[name])


def _prefixes(root: Typed) -> dict[Path, str]:
    """What the names of an occurrence's tensors begin with, by its path."""
    found: dict[Path, str] = {(): ""}
    open_: list[tuple[Typed, Path, Mapping[str, Path]]] = [(root, (), {})]
    while open_:
        t, path, ties = open_.pop()
        if t.word.form == "tie":
            found[*path, -1] = _step(found[path], t.settings["name"], "tied")
        for i, (kid, where, names) in enumerate(kids_of(t, path, ties)):
            if t.word.form != "tied":
                found[where] = _step(found[path], _word(kid), str(i))
            open_.append((kid, where, names))
    return found


def _word(t: Typed) -> str:
    """The name of an occurrence's word; of an operator, such as ``>>``, what it does: ``chain``."""
    return t.word.name if t.word.name.isidentifier() else t.word.form


def _step(before: str, word: str, place: str) -> str:
    return f"{before}.{word}_{place}".lstrip(".")
