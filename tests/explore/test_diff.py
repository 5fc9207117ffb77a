"""`metamixer diff` and the attributes that `metamixer show` prints."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import metamixer as mm
from metamixer import catalog, cli
from metamixer.cli.output.diff import verdict
from metamixer.errors import LanguageError
from metamixer.explore import diff

A = "patch(2,8) >> res(norm >> ffn(2)) >> att(lin,lin,lin)@h(2) >> lin"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def verdicts(a: str, b: str) -> list[str]:
    return [verdict(pair) for pair in diff(a, b, 1, (8, 8)).pairs]


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        (A, ["same"] * 4),
        # another spelling of the same stages
        ("down(2,8) >> (x + (norm >> ffn(2))) >> att(lin(C),lin,lin)@h(2) >> lin(8)", ["same"] * 4),
        (A.replace("ffn(2)", "ffn(3)"), ["same", "changed", "same", "same"]),
        (A.replace(" >> lin", " >> norm >> lin"), ["same", "same", "same", "only in B", "same"]),
        (A.replace("res(norm >> ffn(2)) >> ", ""), ["same", "only in A", "same", "same"]),
        # a width that changes changes what stands behind it
        (A.replace("patch(2,8)", "patch(2,16)"), ["changed"] * 4),
        ("lin(3)", ["changed", "only in A", "only in A", "only in A"]),
    ],
)
def test_stages_are_aligned(b, expected):
    assert verdicts(A, b) == expected
    mirrored = {"only in A": "only in B", "only in B": "only in A"}
    assert sorted(verdicts(b, A)) == sorted(mirrored.get(one, one) for one in expected)


def test_repetitions_are_opened():
    block = "res(norm >> ffn(2))"
    assert verdicts(f"patch(2,8) >> {block}^3", f"patch(2,8) >> {block} >> {block}") == ["same"] * 3 + ["only in A"]


def test_costs_of_stages_add_up():
    found = diff(A, A.replace("ffn(2)", "ffn(3)"), 1, (8, 8))
    for side, cost in zip("ab", found.costs, strict=True):
        stages = [getattr(pair, side) for pair in found.pairs if getattr(pair, side)]
        assert sum(stage.macs for stage in stages) == cost.macs
        assert sum(stage.params for stage in stages) == cost.params
    assert not found.same
    assert diff(A, f"({A})", 1, (8, 8)).same


def test_json_of_two_catalogue_entries_has_their_totals():
    told = json.loads(run("diff", "ffnet_1", "ffnet_2", "--json"))
    assert told["input"] == {"channels": 3, "grid": [256, 256]}
    for side, name in zip(told["costs"], ("ffnet_1", "ffnet_2"), strict=True):
        assert (side["macs"], side["params"]) == (catalog.get(name).cost.macs, catalog.get(name).cost.params)
    assert not told["same"]
    assert {stage["verdict"] for stage in told["stages"]} <= {"same", "changed", "only in A", "only in B"}
    assert [one["locked"] for one in told["attributes"]] == [False, False]


def test_a_name_beside_a_sentence_stands_without_its_head():
    entry = catalog.get("ffnet_digits")
    told = json.loads(run("diff", "ffnet_digits", entry.text, "--json"))
    assert told["same"]
    assert told["keys"][0] == mm.parse(entry.text).key(1, (8, 8))


def test_the_printed_comparison():
    text = run("diff", "res(dw(3)) >> lin", "res(dw(5)) >> lin", "--channels", "8", "--grid", "6x6")
    lines = [line.split() for line in text.splitlines()]
    assert ["~", "res(dw(3))", "2,592", "80", "res(dw(5))", "7,200", "208"] in lines
    assert ["=", "lin", "2,304", "72", "lin", "2,304", "72"] in lines
    assert ["macs", "4,896", "9,504", "1.941"] in lines
    assert ["receptive", "field", "1", "2"] in lines
    assert "one architecture" not in text
    assert "one architecture" in run("diff", "lin", "lin(C)")


def test_show_prints_attributes():
    text = run("show", "att(lin,lin,lin)@h(4) >> lin", "--channels", "16", "--grid", "8x8")
    assert "N^1.97" in text
    assert "global" in text
    told = json.loads(run("show", "pos >> dw(3)", "--channels", "4", "--grid", "6x6", "--json"))["attributes"]
    assert told["locked"]
    assert told["growth"] is None
    assert told["receptive_field"] == [1, 1]
    assert "locked" in run("show", "pos >> dw(3)", "--channels", "4", "--grid", "6x6")


def test_show_prints_the_cost_of_both_forms():
    text = run("show", "conv(x,#rep(7,3)) >> res(bn >> lin(b=0))", "--channels", "8", "--grid", "8x8")
    assert "fused for evaluation: 29,184 MACs, 472 parameters: dw(7) >> lin" in text
    told = json.loads(run("show", "lin(b=0) >> bn", "--channels", "8", "--grid", "8x8", "--json"))
    assert told["fused"] == {"sentence": "lin", "macs": 4096, "flops": 8192, "params": 72}
    assert json.loads(run("show", "lin", "--json"))["fused"] is None
    assert "fused" not in run("show", "lin")


def test_what_is_no_architecture_is_told():
    with pytest.raises(LanguageError, match="did you mean"):
        diff("lni", "lin", 4, (4,))
    result = CliRunner().invoke(cli.app, ["diff", "lin", "lin(", "--channels", "4"])
    assert result.exit_code == 2
    assert "lin(" in result.stderr
