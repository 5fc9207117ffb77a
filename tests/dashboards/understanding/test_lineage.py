"""Where architectures come from, and what differs from a parent."""

from __future__ import annotations

import json

import pytest

from metamixer.cost import cost
from metamixer.dashboards.understanding.lineage import ancestors, children, origin, structural_difference

INPUT = (1, (8, 8))
PARENT = {
    "sentence": "patch(2,32) >> res(norm >> att(lin,lin,lin)@h(4) >> lin) >> res(norm >> ffn(2)) >> norm",
    "choices": {"net/block/mixer#1": "attention", "net/block/mixer/attention#1": 4, "net#1": 32},
}
CHILD = {
    "sentence": "patch(2,32) >> res(norm >> dw(3)) >> res(norm >> ffn(2)) >> norm",
    "choices": {"net/block/mixer#1": "local", "net/block/mixer/local#1": 3, "net#1": 32},
}
TRIALS = {
    0: {"number": 0, "kind": "searched", "origin": "prior"},
    1: {"number": 1, "kind": "searched", "origin": "initial"},
    2: {"number": 2, "kind": "searched", "origin": "mutation", "parents": [0]},
    3: {"number": 3, "kind": "searched", "origin": "crossover", "parents": [2, 1]},
    4: {"number": 4, "kind": "imported", "source": "earlier#7"},
    5: {"number": 5, "kind": "searched"},
    6: {"number": 6, "kind": "searched", "origin": "crossover", "parents": [2, 0]},
}


def test_stages_and_choices_that_changed_are_told_apart_from_those_that_stayed():
    found = structural_difference(PARENT, CHILD, *INPUT)
    assert [row["verdict"] for row in found["stages"]] == ["same", "changed", "same", "same"]
    assert found["stages"][1]["child"]["text"] == "res(norm >> dw(3))"
    assert found["choices"] == {
        "changed": [{"name": "net/block/mixer#1", "slot": "mixer#1", "from": "attention", "to": "local"}],
        "dropped": [{"name": "net/block/mixer/attention#1", "slot": "attention#1", "value": 4}],
        "added": [{"name": "net/block/mixer/local#1", "slot": "local#1", "value": 3}],
    }
    assert not found["same"]
    assert [c["macs"] for c in found["costs"]] == [cost(s["sentence"], 1, (8, 8)).macs for s in (PARENT, CHILD)]
    json.dumps(found, allow_nan=False)


def test_stages_that_only_one_has_are_added_or_dropped():
    longer = {"sentence": CHILD["sentence"] + " >> lin"}
    assert structural_difference(CHILD, longer, *INPUT)["stages"][-1]["verdict"] == "added"
    assert structural_difference(longer, CHILD, *INPUT)["stages"][-1]["verdict"] == "dropped"


def test_an_architecture_does_not_differ_from_itself_however_it_is_spelled():
    spelled = {"sentence": PARENT["sentence"].replace("att(lin,lin,lin)", "(dot(lin,lin) -> softmax -> mm(lin))")}
    found = structural_difference(PARENT, spelled, *INPUT)
    assert found["same"]
    assert {row["verdict"] for row in found["stages"]} == {"same"}


def test_origins_are_told_as_recorded_and_not_guessed():
    assert origin(TRIALS[3])["text"] == "a crossover of trial 2 and trial 1"
    assert origin(TRIALS[4])["text"] == "taken over from an earlier run (earlier#7)"
    assert origin(TRIALS[5]) == {
        "operation": None,
        "text": "the record does not tell",
        "parents": [],
        "source": None,
    }


def test_ancestors_are_walked_once_each_by_generation():
    tree = ancestors(3, TRIALS)
    assert [(node["number"], node["generation"]) for node in tree["nodes"]] == [(3, 0), (2, 1), (1, 1), (0, 2)]
    assert tree["edges"] == [(2, 3), (1, 3), (0, 2)]
    assert not tree["cut"]
    assert [node["number"] for node in ancestors(6, TRIALS)["nodes"]] == [6, 2, 0]


def test_a_record_that_names_itself_as_parent_does_not_run_for_ever():
    assert len(ancestors(0, {0: {"origin": "mutation", "parents": [0]}})["nodes"]) == 1
    long = {i: {"origin": "mutation", "parents": [i + 1]} for i in range(200)}
    assert ancestors(0, long)["cut"]


@pytest.mark.parametrize(("number", "expected"), [(2, [3, 6]), (0, [2, 6]), (5, [])])
def test_children_are_those_that_name_it(number, expected):
    assert children(number, list(TRIALS.values())) == expected
