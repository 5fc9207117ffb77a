"""Our engines on a space of the language: regression of search quality, and what the record says of a proposal."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from metamixer import record, tasks
from metamixer.language import Space, parse
from metamixer.language.spaces.path import ChoicePath
from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.record import Trial
from metamixer.search.configuration import Limits
from metamixer.search.proposals.proposer import Proposer, TaskSpace
from metamixer.search.samplers.core.variation import crossover, mutate
from metamixer.search.samplers.protocol import Setup
from metamixer.search.samplers.sentences import SentenceSampler, SentenceSpace, evolution, tree_of
from metamixer.search.study import Study

TASK = tasks.get("digits-hard")
REFERENCE = (0.5, 1.5e6)
RECURSIVE = """\
max_depth = 2
[rules]
network = 'patch({1|2}, {8|16|24|32}) >> each(block, {1..4}) >> norm'
block = 'res({norm|bn} >> mixer) >> res(norm >> ffn({1|2|3}))'
mixer = '{lin | local | gated | att(lin,lin,lin)@h({1|2|4}) >> lin}'
local = 'conv(lin,#{3|5|7}) -> {gelu|relu|silu} -> conv(#{3|5})'
gated = 'lin * {mixer | x} >> {x | lin}'
"""


def accuracy(sentence: str, macs: int, seed: int = 0) -> float:
    """What trainings might say: size helps less and less, some words help, others harm; and a little luck."""
    good = 0.03 * math.tanh(sentence.count("silu")) + 0.04 * math.tanh(sentence.count("*"))
    bad = 0.05 * sentence.count("bn") / (1 + sentence.count("norm")) + 0.06 * (sentence.count(">> lin >>") > 0)
    luck = random.Random(f"{sentence} {seed}").gauss(0, 0.003)
    return 0.97 - 6 / math.sqrt(macs) ** 0.5 * 0.5 + good - bad + luck


def search(space: Space, sampler: str, seed: int, trainings: int, limits: Limits | None = None) -> list[Trial]:
    """The rows of a search without a driver: known ones are not trained again."""
    found = Proposer(space, TASK, limits or Limits(), sampler, startup=8, seed=seed, reference=REFERENCE)
    rows: list[Trial] = []
    known: dict[str, int] = {}
    number = 0
    while len(rows) < trainings:
        proposal = found.propose(number, known)
        number += 1
        if proposal.reason is not None or proposal.costed is None:
            continue
        cost = proposal.costed.cost
        rows.append(
            Trial(
                number,
                "complete",
                "searched",
                sentence=proposal.sentence,
                key=proposal.costed.key,
                choices=proposal.choices,
                cost=cost,
                accuracy=accuracy(proposal.sentence, cost["macs"]),
            )
        )
        known[proposal.costed.key] = number
        found.observe(rows[-1], proposal.parameters)
    return rows


def volume(rows: list[Trial]) -> float:
    return hypervolume([(row.accuracy, row.flops) for row in rows], REFERENCE, ACCURACY_FLOPS)


@pytest.fixture
def recursive(tmp_path: Path) -> Space:
    (tmp_path / "recursive.toml").write_text(RECURSIVE)
    return Space.load(tmp_path / "recursive.toml")


def test_known_cost_beats_random_on_a_recursive_grammar_with_a_third_of_the_trainings(recursive: Space) -> None:
    random_search = volume(search(recursive, "random", 0, 75))
    assert volume(search(recursive, "known-cost", 0, 25)) > random_search
    assert volume(search(recursive, "evolution", 0, 75)) > random_search


def test_nothing_is_proposed_that_is_known_or_over_a_limit(recursive: Space) -> None:
    for sampler in ("known-cost", "evolution"):
        limits = Limits(macs=200_000)
        found = Proposer(recursive, TASK, limits, sampler, startup=4, seed=1, reference=REFERENCE)
        refused = 0
        known: dict[str, int] = {}
        for number in range(14):
            proposal = found.propose(number, known)
            refused += proposal.reason is not None
            if proposal.reason is None and proposal.costed is not None:
                known[proposal.costed.key] = number
                row = Trial(
                    number,
                    "running" if number % 3 else "complete",
                    "searched",
                    sentence=proposal.sentence,
                    key=proposal.costed.key,
                    choices=proposal.choices,
                    cost=proposal.costed.cost,
                    accuracy=None if number % 3 else 0.8,
                )
                found.observe(row, proposal.parameters)
        assert refused == 0


def test_subtrees_are_redrawn_and_exchanged_between_places_of_one_rule(recursive: Space) -> None:
    space = SentenceSpace(TaskSpace(recursive, TASK, Limits()), evolution(Setup(startup=4)).candidate)
    rng = random.Random(0)
    parents = [space.derive(lambda name, choice: choice.draw(rng)) for _ in range(8)]
    changed, taken = 0, 0
    for _ in range(60):
        mother, father = rng.sample(parents, 2)
        assert mother is not None
        assert father is not None
        child = mutate(space, mother, rng)
        assert child is not None
        same = [name for name in mother.choices if child.choices.get(name) == mother.choices[name]]
        changed += len(mother.choices) - len(same)
        both = crossover(space, mother, father, rng)
        assert both is not None
        assert str(recursive.replay(both.choices, TASK.channels, TASK.grid).sentence)
        foreign = [name for name, value in both.choices.items() if mother.choices.get(name) != value]
        taken += bool(foreign)
        # what came from the father stands together in one place of the tree
        paths = [ChoicePath.parse(name) for name in foreign]
        places = {place for path in paths for place in (path.place[:1], *path.places)}
        assert not foreign or any(all(path.within(place) for path in paths) for place in places)
    assert 60 < changed < 400
    assert taken > 30


def test_repetitions_stand_in_the_graph_as_often_as_they_are_built() -> None:
    assert tree_of(parse("norm >> (lin >> gelu)^2").node) == tree_of(parse("norm >> lin >> gelu >> lin >> gelu").node)
    assert tree_of(parse("lin^3 >> norm").node) != tree_of(parse("lin^2 >> norm").node)


def test_a_proposal_says_what_it_was_made_of_and_baselines_and_replicates_teach(
    load: Callable[..., Study],
) -> None:
    study = load(
        "search.sampler=known-cost",
        "search.startup=4",
        'baselines.names=["vit_digits"]',
        "study.budget=9",
        "study.confirm=2",
    )
    study.run("inline")
    rows = record.read(study.path)
    assert {row.kind for row in rows} >= {"searched", "baseline", "replicate"}

    from metamixer.search.storage.trial_store import TrialStore

    store = TrialStore(study.path / "study.db", {}, {})
    trained = [row for row in rows if row.kind == "searched"]
    notes = [store.parameters(row.number).notes["derivation"] for row in trained]
    store.close()
    assert [note["source"] for note in notes[:4]] == ["start"] * 4
    # the baseline was trained first and is learned from
    assert [note["observed"] for note in notes[4:]] == [5, 6, 7, 8, 9]
    assert all(note["running"] == [] for note in notes)
    for note, row in zip(notes[4:], trained[4:], strict=True):
        assert note["expected"][1] == row.flops  # the cost is known exactly
        assert 0 < note["expected"][0] < 1

    found = Proposer(
        Space.load(study.config.study.space), TASK, study.config.limits, "known-cost", 4, 0, reference=REFERENCE
    )
    for row in rows:
        if row.kind == "searched":
            found.observe(row, store.parameters(row.number))
        else:
            found.observe(row)
    assert isinstance(found.sampler, SentenceSampler)
    observed = found.sampler.observations()
    assert len(observed) == 10
    assert max(item.replicates for item in observed) == 2
    assert sum(not item.eligible for item in observed) == 1
    front = found.recommend()
    assert front
    assert {rows[number].kind for number in front} == {"searched"}


def test_the_page_of_samplers_is_up_to_date(repository: Path) -> None:
    from metamixer.search.samplers.page import page

    written = (repository / "docs" / "samplers.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m metamixer.search.samplers.page > docs/samplers.md"
