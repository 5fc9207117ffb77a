from __future__ import annotations

import math
import random
import statistics

import pytest

from metamixer import tasks
from metamixer.language import Space
from metamixer.record import Trial
from metamixer.search.configuration import Limits
from metamixer.search.proposals.proposer import Proposer
from metamixer.search.pruning.extrapolation import FLOOR, MIN_TRAININGS, fit, predictions
from metamixer.search.samplers.sentences import SentenceSampler


def rows(number: int, noise: float = 0.0, seeds: int = 1) -> list[Trial]:
    """Trainings of 9 epochs whose error at epoch 3 is three times the last one, to the power of 0.8, and some luck."""
    rng = random.Random(0)
    found: list[Trial] = []
    for i in range(number):
        error = 0.03 + 0.2 * i / number
        for seed in range(seeds):
            last = (error + FLOOR) * math.exp(rng.gauss(0, 0.05 if seeds > 1 else 0)) - FLOOR
            early = 3 * (error + FLOOR) ** 0.8 * math.exp(rng.gauss(0, noise)) - FLOOR
            curve = [{"epoch": e, "validation_accuracy": 1 - (early if e <= 3 else last)} for e in range(1, 10)]
            first = len(found) - seed
            kind = {"kind": "replicate", "replicate_of": first, "seed_index": seed} if seed else {"kind": "searched"}
            found.append(Trial(len(found), "complete", accuracy=1 - last, curve=curve, epochs=9, **kind))  # type: ignore[arg-type]
    return found


def told(rows: list[Trial]) -> dict[int, tuple[float, float]]:
    seeds: dict[int, list[float]] = {}
    for row in rows:
        if row.state == "complete" and row.accuracy is not None:
            seeds.setdefault(row.number if row.replicate_of is None else row.replicate_of, []).append(1 - row.accuracy)
    return predictions(rows, seeds)


def stopped(number: int, error: float) -> Trial:
    early = 3 * (error + FLOOR) ** 0.8 - FLOOR
    curve = [{"epoch": e, "validation_accuracy": 1 - early} for e in (1, 2, 3)]
    return Trial(number, "pruned", "searched", curve=curve, epochs=3)


def test_a_line_through_those_that_went_on_tells_the_end() -> None:
    complete = rows(20)
    known = told([*complete, stopped(20, 0.1), stopped(21, 0.3)])
    assert set(known) == {20, 21}
    assert known[20][0] == pytest.approx(0.1, abs=1e-6)
    assert known[21][0] == pytest.approx(0.3, abs=1e-6)


def test_what_is_left_open_and_the_noise_of_seeds_give_the_weight() -> None:
    loose, tight = ([*rows(60, noise, seeds=3), stopped(180, 0.1)] for noise in (0.5, 0.05))
    (_, low), (_, high) = told(loose)[180], told(tight)[180]
    assert 0.02 <= low < high / 2 < 0.5
    line = fit(tight, [3])[3]
    assert line.variance == pytest.approx(0.05**2 + (line.slope * 0.05) ** 2, rel=0.3)
    assert high == pytest.approx(0.05**2 / (0.05**2 + line.variance), rel=0.3)
    alone = told([*rows(20, 0.5), stopped(20, 0.1)])[20]
    assert alone[1] == pytest.approx(0.2)


def test_too_few_say_nothing() -> None:
    assert told([*rows(MIN_TRAININGS - 1), stopped(30, 0.1)]) == {}
    assert set(told([*rows(MIN_TRAININGS), stopped(30, 0.1)])) == {30}
    early = Trial(31, "pruned", "searched", curve=[{"epoch": 1, "validation_accuracy": 0.5}], epochs=1)
    failed = Trial(32, "failed", "searched", curve=early.curve)
    known = told([*rows(MIN_TRAININGS), early, failed])
    assert set(known) == {31}


def test_a_falling_line_is_taken_for_chance() -> None:
    crossed = []
    for row in rows(12):
        mirrored = 1.0 - row.curve[2]["validation_accuracy"]
        curve = [{**epoch, "validation_accuracy": mirrored} if epoch["epoch"] <= 3 else epoch for epoch in row.curve]
        crossed.append(Trial(**{**row.__dict__, "curve": curve}))
    known = told([*crossed, stopped(12, 0.05), stopped(13, 0.2)])
    assert known[12] == known[13]
    logs = [math.log(1 - (row.accuracy or 0) + FLOOR) for row in crossed]
    assert known[12][0] == pytest.approx(math.exp(statistics.fmean(logs)) - FLOOR)


def test_our_sampler_learns_from_stopped_trials_and_recommends_none() -> None:
    space = Space({"network": "lin(8) >> each({gelu|relu|silu}, 6)"}, start="network")
    found = Proposer(space, tasks.get("digits-hard"), Limits(), "known-cost", startup=2, seed=0)
    cut = stopped(0, 0.1)
    for number, row in enumerate([*rows(8), cut, cut]):
        proposal = found.propose(number, {})
        assert proposal.costed is not None
        complete = {"key": proposal.costed.key, "sentence": proposal.sentence, "choices": proposal.choices}
        complete |= {"cost": proposal.costed.cost, "number": number}
        found.observe(Trial(**{**row.__dict__, **complete}), proposal.parameters)
    assert isinstance(found.sampler, SentenceSampler)
    observed = found.sampler.observations()
    assert [o.eligible for o in observed] == [True] * 8 + [False] * 2
    for early in observed[8:]:
        assert early.values[0] == pytest.approx(0.1, abs=1e-6)
        assert 0 < early.replicates < 1
    assert set(found.recommend() or []) <= set(range(8))
    assert found.propose(10, {}).reason is None
