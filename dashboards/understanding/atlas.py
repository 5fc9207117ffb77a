"""The atlas: every mixer of the catalogue at its place in one table of score source, normaliser, value and place.

Coordinates follow from the checked sentence (`metamixer.explore.reads`). Nothing is placed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from typing import Any

from metamixer import catalog
from metamixer.catalog.entries import Entry, shells
from metamixer.explore.attributes import growth, locked
from metamixer.explore.reads import PLACES, SCORES, VALUES, principal, reads
from metamixer.explore.roles import roles
from metamixer.language import parse
from metamixer.language.checking.inference import Typed, check_node
from metamixer.language.checking.types import Context, Field

MARK = "tanh"  # a word that no shell has: where it stands, a shell's mixer would
AXES = ("score", "normaliser", "value", "place")


@cache
def atlas() -> dict[str, Any]:
    """All catalogue mixers.

    Returns:
        ``axes``: for each of score, normaliser, value, place the values that occur, in a fixed order. ``mixers``, each:
        ``name``, ``family``, ``source``, ``sentence`` (the mixer or block alone), ``roles`` (see `spans`), ``cell``
        (its value on each axis, by the read that it is known by), ``activation`` of that read (names), ``reads`` (all
        its reads, outer ones first, see `metamixer.explore.reads.Read`), ``growth`` (exponent of its MACs in the number
        of tokens; None where it is locked to its grid, costs nothing, or has extra tokens in front), ``locked`` (None
        with extra tokens), ``input`` (channels, grid, extra tokens at which this was looked at). ``cells``: for every
        occupied cell its value on each axis and ``names``.
    """
    mixers = [_mixer(entry) for entry in map(catalog.get, catalog.names()) if entry.mixer]
    known = {"score": SCORES, "value": VALUES, "place": PLACES}
    axes = {}
    for axis in AXES:
        values = {mixer["cell"][axis] for mixer in mixers}
        order = [value for value in known.get(axis, ("none",)) if value in values]
        axes[axis] = [*order, *sorted(values - set(order))]
    cells: dict[tuple[str, ...], list[str]] = {}
    for mixer in mixers:
        cells.setdefault(tuple(mixer["cell"][axis] for axis in AXES), []).append(mixer["name"])
    listed = [{**dict(zip(AXES, cell, strict=True)), "names": names} for cell, names in sorted(cells.items())]
    return {"axes": axes, "mixers": mixers, "cells": listed}


def drawing(name: str) -> str:
    """The drawing of a mixer alone, as SVG text.

    Raises:
        LanguageError: the catalogue has no such mixer.
    """
    from metamixer.report.drawing import draw
    from metamixer.report.sketch import sketch

    return draw(sketch(typed(catalog.get(name))))


def spans(sentence: str) -> list[dict[str, Any]]:
    """A sentence cut where roles change: ``text``, ``role`` and ``within`` (roles around, outermost first)."""
    return [{"text": span.text, "role": span.role, "within": list(span.within)} for span in roles(sentence)]


def typed(entry: Entry) -> Typed:
    """An entry's mixer, checked where it stands in its shell; an entry without a shell as a whole."""
    if entry.mixer is None or entry.shell is None:
        return entry.sentence.typed(entry.channels, entry.grid)
    found: Typed = check_node(parse(entry.mixer).node, where(entry))
    return found


def where(entry: Entry) -> Context:
    """The context of an entry's mixer in its shell."""
    shell = shells()[str(entry.shell)]
    text = re.sub(r"\bmixer\b", MARK, str(shell["sentence"]))
    for occurrence in _walk(parse(text).typed(entry.channels, entry.grid)):
        if occurrence.word.name == MARK:
            return Context(occurrence.x, occurrence.x.channels, occurrence.x.grid)
    raise AssertionError(f"the shell {entry.shell} has no mixer")


def _mixer(entry: Entry) -> dict[str, Any]:
    t = typed(entry)
    x: Field = t.x
    found = reads(t)
    known = principal(found)
    sentence = str(parse(str(entry.mixer)))
    held, grows = None, None
    if not x.extra:  # with extra tokens in front it is no sentence of its own
        held = locked(parse(sentence), x.channels, x.grid)
        grows = None if held else growth(parse(sentence), x.channels, x.grid)
    cell = {axis: getattr(known, axis) if known else "none" for axis in AXES}
    return {
        "name": entry.name,
        "family": entry.family,
        "source": entry.source,
        "sentence": sentence,
        "roles": spans(sentence),
        "cell": cell,
        "activation": list(known.activation) if known else [],
        "reads": [_plain(asdict(read)) for read in found],
        "growth": grows,
        "locked": held,
        "input": {"channels": x.channels, "grid": list(x.grid), "extra": x.extra},
    }


def _plain(read: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in read.items()}


def _walk(t: Typed) -> Iterator[Typed]:
    yield t
    for kid in t.kids:
        yield from _walk(kid)
