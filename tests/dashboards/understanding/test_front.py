"""Why is this on the front: choices, counterfactuals at equal cost, and what the model knows of them."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from metamixer.cost import cost
from metamixer.dashboards.understanding.front import (
    COMPARABLE,
    Model,
    at_cost,
    change_samples,
    changes,
    differ_in_one,
    differences,
    effects,
    features_of,
    why,
)
from metamixer.dashboards.understanding.otherwise import changed, otherwise, slot, taken
from metamixer.dashboards.understanding.surrogate import fitted, interval, verdict
from metamixer.dashboards.understanding.trained import Architecture, Context, Study, architectures
from metamixer.language import Space, parse
from metamixer.language.syntax.nodes import label, word
from metamixer.record import Trial

SMALL = Context(
    Space(
        {
            "net": "patch(2,{16|32}) >> res(norm >> mixer) >> res(norm >> ffn({1|2})) >> norm",
            "mixer": "{attention | local | twice}",
            "attention": "att(lin,lin,lin)@h({2|4}) >> lin",
            "local": "dw({3|5})",
            "twice": "dw({3|5}) >> {gelu|relu} >> dw({3|5})",
        },
        "net",
    ),
    1,
    (8, 8),
    10,
)


def drawn(number: int, seed: int, accuracy: float | None = None) -> Architecture:
    """A draw of the small space; by default local is worth .1, whatever it costs, and little else matters."""
    rng = random.Random(seed)
    one = SMALL.space.draw(rng, 1, (8, 8))
    counted = cost(SMALL.network(one.sentence), 1, (8, 8))
    costs = {name: getattr(counted, name) for name in ("macs", "params", "elementwise", "activations")}
    if accuracy is None:
        worth = 0.1 if "local" in one.choices.values() else 0.0
        accuracy = 0.7 + worth + 0.02 * math.log10(costs["macs"]) + rng.gauss(0, 0.004)
    return Architecture(number, str(one.sentence), one.choices, costs, (accuracy,))


@pytest.fixture(scope="module")
def small() -> Model:
    return Model.of(Study(SMALL, tuple(drawn(i, i) for i in range(60))))


def test_a_choice_that_carries_the_front_is_found_and_others_are_left_undecided(small):
    one = next(a for a in small.study.front() if "local" in a.choices.values())
    answer = why(small, one.number)
    assert answer["on_front"]
    choice = next(c for c in answer["choices"] if c["slot"] == "mixer#1")
    assert choice["taken"] == "local"
    assert choice["verdict"] == "best"
    for alternative in choice["alternatives"]:
        assert alternative["verdict"] == "worse"
        assert alternative["change"]["low"] < -0.1 < alternative["change"]["high"]
    kernel = next(c for c in answer["choices"] if c["slot"] == "local#1")
    assert kernel["verdict"] == "undecided"
    assert abs(kernel["alternatives"][0]["change"]["mean"]) < 0.02


def test_a_member_that_could_be_better_is_improvable(small):
    one = next(a for a in small.study.architectures if "attention" in a.choices.values())
    choice = next(c for c in why(small, one.number)["choices"] if c["slot"] == "mixer#1")
    assert choice["verdict"] == "improvable"
    best = choice["alternatives"][0]
    assert (best["value"], best["verdict"]) == ("local", "better")
    assert best["change"]["probability"] > 0.975


def test_effects_over_the_study_name_the_choice_that_moves_the_front(small):
    answer = effects(small)
    decided = [(e["slot"], e["value"], e["verdict"]) for e in answer["effects"] if e["verdict"] != "undecided"]
    assert ("mixer#1", "attention", "worse") in decided
    assert {where for where, _, _ in decided} == {"mixer#1"}


def test_pure_noise_decides_nothing():
    rng = random.Random(0)
    ones = tuple(drawn(i, i, 0.8 + rng.gauss(0, 0.01)) for i in range(60))
    model = Model.of(Study(SMALL, ones))
    verdicts = [a["verdict"] for one in ones[:10] for c in why(model, one.number)["choices"] for a in c["alternatives"]]
    assert len(verdicts) > 40
    assert np.mean([v != "undecided" for v in verdicts]) < 0.1


def test_the_evidence_for_an_expectation_are_trials_of_the_choice(small):
    one = next(a for a in small.study.front() if "local" in a.choices.values())
    choice = next(c for c in why(small, one.number)["choices"] if c["slot"] == "mixer#1")
    for alternative in choice["alternatives"]:
        named = alternative["evidence"]
        assert named
        assert {e["number"] for e in named} <= {a.number for a in small.study.architectures}
        assert sum(e["share"] for e in named if e["says"] == "worse") > sum(
            e["share"] for e in named if e["says"] == "better"
        )
        assert alternative["tried"] == sum(
            alternative["value"] in [v for n, v in a.choices.items() if slot(n) == "mixer#1"]
            for a in small.study.architectures
        )


def test_trials_that_differ_in_the_one_choice_are_named_with_what_was_measured(small):
    measured = [
        (one, choice, alternative, item)
        for one in small.study.architectures[:20]
        for choice in why(small, one.number)["choices"]
        for alternative in choice["alternatives"]
        for item in alternative["measured"]
    ]
    assert measured
    by_number = {a.number: a for a in small.study.architectures}
    for one, choice, alternative, item in measured:
        other = by_number[item["number"]]
        assert other.choices[choice["name"]] == alternative["value"]
        both = one.choices.keys() & other.choices.keys()
        assert [n for n in both if one.choices[n] != other.choices[n]] == [choice["name"]]
        assert item["change"] == pytest.approx(other.accuracy - one.accuracy)


def test_alternatives_keep_every_other_choice_and_draw_what_is_new(study):
    one = study.front()[-1]
    for item in otherwise(one, study.context):
        for derived in item.derived:
            assert derived.choices[item.taken.name] == item.value
            kept = [name for name in one.choices if name in derived.choices and name != item.taken.name]
            moved = [name for name in kept if derived.choices[name] != one.choices[name]]
            assert len(moved) <= len(kept) / 2  # those that are not viable there alone
            assert derived.key == study.context.network(derived.sentence).key(1, (8, 8))
            assert derived.cost["macs"] == cost(study.context.network(derived.sentence), 1, (8, 8)).macs


def test_alternatives_are_the_same_ones_each_time(study):
    one = study.front()[0]
    first, again = (
        [(i.taken.name, i.value, [d.key for d in i.derived]) for i in otherwise(one, study.context)] for _ in "ab"
    )
    assert first == again


def test_a_choice_that_opens_others_is_completed_several_times():
    one = next(a for a in (drawn(i, i) for i in range(30)) if "attention" in a.choices.values())
    name = next(n for n in one.choices if slot(n) == "mixer#1")
    assert len(changed(one.choices, name, "twice", SMALL, completions=8)) > 1
    assert len(changed(one.choices, "net#1", 48 - one.choices["net#1"], SMALL, completions=8)) == 1


def test_taken_are_the_recorded_choices_with_what_could_have_been(study):
    one = study.architectures[0]
    choices = taken(one, study.context)
    assert {c.name: c.value for c in choices} == dict(one.choices)
    assert all(c.value in c.choice.viable for c in choices)


def test_what_costs_several_times_as_much_is_not_compared(study, model):
    answers = [why(model, one.number) for one in study.front()[:2]]
    alternatives = [a for answer in answers for c in answer["choices"] for a in c["alternatives"]]
    far = [a for a in alternatives if not a["comparable"]]
    assert far
    assert {a["verdict"] for a in far} == {"undecided"}
    assert all(not 1 / COMPARABLE <= a["cost_ratio"] <= COMPARABLE for a in far)


def test_answers_are_plain_values(study, model):
    number = study.front()[0].number
    assert json.loads(json.dumps(why(model, number), allow_nan=False))["number"] == number


def test_an_alternative_that_is_the_architecture_itself_changes_nothing_for_sure(study, model):
    one = study.architectures[3]
    assert model.surrogate is not None
    samples, weights = change_samples(model.surrogate, features_of(one), [[features_of(one)]])
    assert np.abs(samples).max() < 1e-6
    assert np.abs(weights).max() < 1e-6


def test_expectations_agree_with_the_posterior_of_the_search(study, model):
    """Means and variances of single architectures are those of `Posterior.at`; only covariances are new."""
    surrogate = model.surrogate
    assert surrogate is not None
    queries = [features_of(one) for one in study.architectures[:5]]
    mean, covariance, weights = surrogate.joint(queries)
    from metamixer.dashboards.understanding.surrogate import FAMILIES, _matrix, _squares

    rows = [_matrix([q[f] for q in queries], dict(c)) for f, c in zip(FAMILIES, surrogate.columns, strict=True)]
    squares = [_squares(a, b) / scale for a, b, scale in zip(rows, surrogate.rows, surrogate.scales, strict=True)]
    believed = surrogate.process.at(squares)
    np.testing.assert_allclose(mean, believed.mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), believed.deviation, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights @ surrogate.targets, mean)


def test_the_cost_of_the_member_stands_in_for_that_of_the_alternative(study):
    one = study.architectures[0]
    item = next(iter(otherwise(one, study.context)))
    seen = at_cost(item.derived[0], one.cost)
    assert seen["known"] == features_of(one)["known"]
    assert seen["rules"] != features_of(one)["rules"]


def test_too_few_trainings_are_said_to_be_too_few(study):
    model = Model.of(replace(study, architectures=study.architectures[:4]))
    assert model.surrogate is None
    answer = why(model, study.architectures[0].number)
    assert "too few" in answer["reason"]
    assert answer["choices"]
    assert not any(c["alternatives"] for c in answer["choices"])
    assert "too few" in effects(model)["reason"]


def test_an_architecture_of_another_space_has_no_choices(study):
    stranger = Architecture(99, "patch(2,32) >> norm", {}, study.architectures[0].cost, (0.5,), searched=False)
    model = Model.of(replace(study, architectures=(*study.architectures, stranger)))
    assert "does not derive" in why(model, 99)["reason"]
    with pytest.raises(KeyError):
        why(model, 1234)


def test_an_alternative_of_several_derivations_is_any_one_of_them():
    samples = np.tile([0.5, 0.6, 0.4, 0.8], (10, 1))  # the reference, then an alternative of one and one of two
    found = changes(samples, [1, 2])
    assert found[:, 0] == pytest.approx([0.1] * 10)
    assert sorted(found[:, 1]) == pytest.approx([-0.1] * 5 + [0.3] * 5)
    assert differences([1, 2]) @ samples[0] == pytest.approx(found.mean(axis=0))


def test_verdicts_follow_from_intervals():
    assert verdict(interval(np.array([0.1, 0.2, 0.3]))) == "better"
    assert verdict(interval(np.array([-0.1, -0.2, -0.3]))) == "worse"
    assert verdict(interval(np.array([-0.1, 0.2]))) == "undecided"


def test_replicates_make_the_model_surer(study):
    queries = [features_of(one) for one in study.architectures]
    once = fitted(queries, [(one.accuracies[0],) for one in study.architectures])
    often = fitted(queries, [(one.accuracy,) * 3 for one in study.architectures])
    assert once is not None
    assert often is not None
    one, three = (np.diag(s.joint(queries[:10])[1]).mean() for s in (once, often))
    assert three < one


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        ({"x": 1, "y": 2}, {"x": 1, "y": 3}, "y"),
        ({"x": 1, "y": 2}, {"x": 1, "y": 2}, None),
        ({"x": 1, "y": 2}, {"x": 2, "y": 3}, None),
        ({"x": 1, "y": 2, "y/a": 1}, {"x": 1, "y": 3, "y/b": 1}, "y"),
        ({"x": 1, **{f"y/{i}": 1 for i in range(9)}, "y": 2}, {"x": 1, "y": 3}, None),
    ],
)
def test_pairs_differ_in_one_choice_and_in_what_hangs_on_it(a, b, name):
    assert differ_in_one(a, b) == name


def test_architectures_of_a_record_have_their_seeds_and_leave_out_what_has_no_value():
    cost = {"macs": 10, "params": 1, "elementwise": 0, "activations": 0}
    trials = [
        Trial(0, "complete", "searched", sentence="x", cost=cost, accuracy=0.5, choices={"a": 1}),
        Trial(1, "pruned", "searched", sentence="x", cost=cost),
        Trial(2, "pruned", "rejected", sentence="x", reason="over a limit"),
        Trial(3, "complete", "baseline", sentence="lin", cost=cost, accuracy=0.7),
        Trial(4, "complete", "replicate", sentence="x", cost=cost, accuracy=0.7, replicate_of=0, seed_index=1),
        Trial(5, "failed", "searched", sentence="x", cost=cost),
        Trial(6, "complete", "imported", sentence="norm", cost=cost, accuracy=0.4),
    ]
    found = architectures(trials)
    assert [(one.number, one.accuracies, one.searched) for one in found] == [
        (0, (0.5, 0.7), True),
        (3, (0.7,), False),
        (6, (0.4,), True),
    ]


def test_nothing_here_imports_what_trains():
    code = (
        "import sys\n"
        "from metamixer.dashboards.understanding import atlas, attainment, front, lineage, spaces, words\n"
        "print([m for m in ('torch', 'optuna', 'ray', 'sqlalchemy', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_slots_are_rules_without_their_path():
    assert slot("network[2]/block~2/mixer#1") == "mixer#1"
    assert slot("network#2") == "network#2"


def test_parsed_features_count_repetitions():
    from metamixer.dashboards.understanding.trained import of_words

    assert of_words(parse("gelu^3").node)[label(word("gelu"))] == pytest.approx(math.log1p(3))
