"""Space files and spaces made in Python: what is accepted, what is refused and why, the schema, the profile."""

from __future__ import annotations

import json
import random
import tomllib

import jsonschema
import pytest

import metamixer as mm
from metamixer.errors import LanguageError, ResourceError, SpaceError, UserError
from metamixer.language import Space
from metamixer.language.spaces import file

RULES = {"network": "patch(2,{8|16}) >> block^{1..2}", "block": "res(norm >> {mixer|lin})", "mixer": "lin * block"}


def test_a_space_from_python_is_the_space_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    lines = "".join(f"{rule} = '{body}'\n" for rule, body in RULES.items())
    path.write_text(f"name = 'mine'\nstart = 'network'\nmax_depth = 2\n[rules]\n{lines}")
    loaded, made = Space.load(path), mm.Space(rules=RULES, start="network", max_depth=2)
    assert (loaded.name, loaded.start, loaded.max_depth) == ("mine", "network", 2)
    assert loaded.rules == made.rules == RULES
    assert loaded.fingerprint == made.fingerprint
    assert loaded.size(3, (8, 8)) == made.size(3, (8, 8)) == 8
    drawn = {str(space.draw(random.Random(4), 3, (8, 8)).sentence) for space in (loaded, made)}
    assert len(drawn) == 1
    assert Space.load(str(path)).fingerprint == loaded.fingerprint


def test_defaults_of_a_file(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text("[rules]\none = 'lin >> two'\ntwo = '''\n  {norm |\n   gelu}'''\n")
    space = Space.load(path)
    assert (space.name, space.start, space.max_depth) == ("space", "one", 3)
    assert space.rules["two"] == "{norm | gelu}"
    assert space.size(4, (2,)) == 2


REFUSED = {
    # what is wrong -> (rules, start, message, place, advice)
    "unknown rule": (
        {"n": "lin >> blok", "block": "lin"}, "n",
        "unknown rule or word blok (column 8)", "rule n", "did you mean block?",
    ),
    "unknown word": (
        {"n": "lin >> gleu"}, "n",
        "unknown rule or word gleu (column 8)", "rule n", "did you mean gelu?",
    ),
    "unknown word with arguments": (
        {"n": "lin >> conf(x,#3)"}, "n",
        "conf (column 8)", "rule n", "did you mean conv?",
    ),
    "rule with arguments": (
        {"n": "m(lin)", "m": "lin"}, "n",
        "m is a rule or a bound name and takes no arguments", "rule n", ">>",
    ),
    "unknown start": (
        {"net": "lin"}, "nett",
        "the start rule nett is not defined", None, "did you mean net?",
    ),
    "unlike start": (
        {"net": "lin"}, "zzz",
        "the start rule zzz is not defined", None, "[rules]",
    ),
    "no finite derivation": (
        {"n": "lin >> n"}, "n",
        "the rule n has no finite derivation: n -> n", "rule n", "{.. | lin}",
    ),
    "mutual": (
        {"n": "{lin >> m | res(m)}", "m": "norm >> n"}, "n",
        "has no finite derivation: n -> m -> n", "rule n", "{.. | lin}",
    ),
    "endless though unused": (
        {"n": "lin", "m": "res(m)"}, "n",
        "the rule m has no finite derivation: m -> m", "rule m", "{.. | lin}",
    ),
    "name of a word": (
        {"norm": "lin"}, "norm",
        "the rule norm has the name of a word", None, "another name",
    ),
    "name of a flag": (
        {"n": "lin", "zero": "lin"}, "n",
        "the rule zero has the name of a word", None, "another name",
    ),
    "capital": (
        {"Net": "lin"}, "Net",
        "Net cannot be the name of a rule", None, "small letters",
    ),
    "reserved": (
        {"n": "lin", "let": "lin"}, "n",
        "let cannot be the name of a rule", None, "small letters",
    ),
    "the input": (
        {"n": "lin", "x": "lin"}, "n",
        "x cannot be the name of a rule", None, "small letters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_a_space_is_told_on_loading(what):
    rules, start, message, place, advice = REFUSED[what]
    with pytest.raises(SpaceError) as told:
        Space(rules, start, place="my.toml")
    assert message in told.value.message
    assert told.value.place == "my.toml" + (f", {place}" if place else "")
    assert advice in told.value.advice


def test_a_depth_of_nothing():
    with pytest.raises(SpaceError, match=r"max_depth = 0 allows no rule at all[^~]*write max_depth = 1"):
        Space({"n": "lin"}, "n", 0)


@pytest.mark.parametrize(
    ("rules", "size"),
    [
        ({"n": "res(m)", "m": "{n | res(n) | lin}"}, 1),
        ({"n": "b >> {c|b}", "b": "{c | lin >> c}", "c": "{res(b) >> n | d}", "d": "{lin >> n | lin}"}, 6),
        ({"n": "s >> s >> s", "s": "{res(s) >> lin | lin}"}, 1),
    ],
)
def test_what_ends_at_all_ends_without_opening_a_rule_twice(rules, size):
    assert Space(rules, "n", 1).size(4, (2,)) == size


def test_a_broken_sentence_in_a_file_names_file_rule_and_column(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[rules]\none = 'lin'\ntwo = 'lin >> (norm'\n")
    with pytest.raises(LanguageError) as told:
        Space.load(path)
    assert told.value.place == f"{path}, rule two"
    assert "the bracket ( is not closed (column 8)" in told.value.message


@pytest.mark.parametrize(
    ("content", "message", "advice"),
    [
        ("[rules\n", "this is no TOML", "digits.toml"),
        ("rule = 'lin'\n[rules]\nn = 'lin'\n", "unknown key rule", "did you mean rules?"),
        ("zzz = 1\n[rules]\nn = 'lin'\n", "unknown key zzz", "known: "),
        ("name = 'mine'\n", "a space has a table [rules]", "[rules]"),
        ("rules = 'lin'\n", "a space has a table [rules]", "[rules]"),
        ("[rules]\n", "a space has a table [rules]", "[rules]"),
        ("[rules]\nn = 3\n", "a space has a table [rules]", "[rules]"),
        ("max_depth = 'deep'\n[rules]\nn = 'lin'\n", "max_depth is an integer", ""),
        ("start = 3\n[rules]\nn = 'lin'\n", "max_depth is an integer, start and name are texts", ""),
    ],
)
def test_broken_files(tmp_path, content, message, advice):
    path = tmp_path / "broken.toml"
    path.write_text(content)
    with pytest.raises(SpaceError) as told:
        Space.load(path)
    assert message in told.value.message
    assert told.value.place == str(path)
    assert advice in (told.value.advice or "")


def test_a_space_that_is_not_there():
    with pytest.raises(ResourceError, match=r"did you mean 'digits'"):
        Space.load("digts")


@pytest.mark.parametrize(
    ("rules", "channels", "grid", "parts"),
    [
        (
            {"n": "patch(3,{8|16}) >> norm"}, 3, (8, 8),
            ["8x8 tokens x 3: a stride of 3 does not divide the axis of 8 (column 1)\n", "look at: patch(3,"],
        ),
        (
            {"n": "m >> lin", "m": "{att(lin,lin,lin)@h(3) | att(lin,lin,lin)@h(5)}"}, 4, (2,),
            ["heads do not divide 4 channels", "look at: att"],
        ),
        ({"n": "res({lin(8) | lin(16)})"}, 4, (2,), ["no sentence of the space fits 2 tokens x 4", "look at: res"]),
        ({"n": "dot(lin,lin)"}, 4, (2,), ["no sentence of the space fits", "look at: dot"]),
    ],
)  # fmt: skip
def test_an_input_that_no_sentence_fits_is_told_with_a_phrase(rules, channels, grid, parts):
    space = Space(rules, "n")
    for call in (space.size, lambda c, g: space.draw(random.Random(0), c, g)):
        with pytest.raises(SpaceError) as told:
            call(channels, grid)
        assert all(part in str(told.value) for part in parts), str(told.value)


def test_a_space_that_fits_some_inputs_only():
    space = Space({"n": "{lin | lin@win(4) | dw(3)}"}, "n")
    assert space.size(4, (8, 8)) == 3
    assert space.size(4, (6, 8)) == 2
    assert {str(space.draw(random.Random(i), 4, (6, 8)).sentence) for i in range(30)} == {"lin", "dw(3)"}


WRONG = [
    {"name": "n"},
    {"rules": {}},
    {"rules": {"n": 3}},
    {"rules": {"Net": "lin"}},
    {"rules": {"n": "lin"}, "zzz": 1},
    {"rules": {"n": "lin"}, "max_depth": 0},
    {"rules": {"n": "lin"}, "max_depth": "2"},
]


def test_the_schema_takes_what_loading_takes(repository):
    shipped = [tomllib.loads(path.read_text()) for path in (repository / "search_spaces").glob("*.toml")]
    assert shipped
    schema = file.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert all(map(validator.is_valid, shipped))
    for content in WRONG:
        assert not validator.is_valid(content), content
        with pytest.raises(UserError):
            Space.from_dict(content)
    assert json.loads(json.dumps(schema)) == schema


def test_the_profile_adds_up():
    space = Space({"n": "lin({8|16}) >> block^{1..2}", "block": "{lin: 3 | norm}"}, "n")
    limits = {"macs": 2_000, "params": 10**9}
    profile = space.profile(400, mm.cost, 4, (4,), random.Random(2), limits=limits)
    assert profile.draws == len(profile.macs) == len(profile.params) == 400
    assert list(profile.macs) == sorted(profile.macs)
    assert profile.distinct == space.size(4, (4,)) == 8
    assert profile.within == sum(macs <= 2_000 for macs in profile.macs)
    assert 0 < profile.within < 400
    assert set(profile.values) == {"n#1", "n#2", "block#1"}
    assert sum(profile.values["n#1"].values()) == 400
    assert 250 < profile.values["block#1"]["lin"] < 350
