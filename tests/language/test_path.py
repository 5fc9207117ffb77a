"""Names of choices are printed paths: every name that a space gives is parsed and printed back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.language import Space
from metamixer.language.spaces.path import ChoicePath, Reference

SPACE = Space(
    {
        "network": "patch({1|2}, 16) >> each(block >> block, {1..3}) >> block",
        "block": "res(norm >> mixer) >> each(each(mixer, {1..2}), {1..2})",
        "mixer": "{lin | conv(lin,#{3|5})}",
    },
    start="network",
)
names = st.from_regex(r"[a-z_][a-z_0-9]{0,5}", fullmatch=True)
copies = st.lists(st.integers(1, 30), max_size=2).map(tuple)
references = st.builds(Reference, names, st.integers(1, 12), copies)
paths = st.builds(ChoicePath, st.lists(references, min_size=1, max_size=5).map(tuple), st.integers(1, 99))


@given(paths)
def test_what_is_printed_is_parsed_back(path: ChoicePath) -> None:
    assert ChoicePath.parse(str(path)) == path


def test_every_name_that_a_space_gives_is_a_path() -> None:
    rng = random.Random(0)
    seen = set()
    for _ in range(40):
        seen |= set(SPACE.draw(rng, 1, (8, 8)).choices)
    assert len(seen) > 60
    assert any("~2" in name for name in seen)
    assert any("][" in name for name in seen)
    for name in seen:
        path = ChoicePath.parse(name)
        assert str(path) == name
        assert path.rules[0] == "network"
        assert set(path.rules) <= set(SPACE.rules)


def test_the_parts_of_a_path() -> None:
    path = ChoicePath.parse("network[2]/block~2[1][3]/mixer#11")
    assert path.place == (Reference("network", 1, (2,)), Reference("block", 2, (1, 3)), Reference("mixer"))
    assert path.number == 11
    assert path.rules == ("network", "block", "mixer")
    assert path.places == (path.place[:2], path.place)


@given(paths, paths)
def test_within_and_rebased_are_prefixes_of_the_printed_name(path: ChoicePath, other: ChoicePath) -> None:
    for place in (*path.places, path.place[:1], *other.places):
        prefix = "/".join(map(str, place))
        assert path.within(place) == str(path).startswith((f"{prefix}#", f"{prefix}/", f"{prefix}["))
    for place in path.places:
        moved = path.rebased(place, other.place)
        prefix = "/".join(map(str, place))
        assert str(moved) == "/".join(map(str, other.place)) + str(path)[len(prefix) :]
        assert moved.within(other.place)
        assert ChoicePath.parse(str(moved)) == moved


def test_a_place_stands_for_one_reference_and_all_its_copies() -> None:
    place = ChoicePath.parse("network[1]/block#2").place
    assert ChoicePath.parse("network[1]/block#2").within(place)
    assert ChoicePath.parse("network[1]/block[2]/mixer#1").within(place)
    assert not ChoicePath.parse("network[1]/block~2#2").within(place)
    assert not ChoicePath.parse("network[10]/block#2").within(place)
    assert not ChoicePath.parse("network[1]#2").within(place)
    with pytest.raises(ValueError, match=r"does not stand within network\[1\]/block"):
        ChoicePath.parse("network[1]#2").rebased(place, place)


@pytest.mark.parametrize("name", ["", "layer1/kind", "width", "a#", "a#b", "#1", "a//b#1", "a[x]#1", "a~#1", "a#1/b"])
def test_other_names_are_none(name: str) -> None:
    assert ChoicePath.find(name) is None
    with pytest.raises(ValueError, match="is no path of a choice"):
        ChoicePath.parse(name)
