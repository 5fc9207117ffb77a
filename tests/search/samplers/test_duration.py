"""Seconds that follow from costs, and proposals that go by them."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

import numpy as np
import optuna
import pytest

from metamixer.search.samplers import KnownCostSampler
from metamixer.search.samplers.core.duration import FEWEST, DurationModel
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.optimizer import _gap
from metamixer.search.samplers.core.variation import Candidate

optuna.logging.set_verbosity(optuna.logging.WARNING)


def candidate(macs: float, params: float = 7.0) -> Candidate:
    known = {"macs": math.log(macs), "params": math.log(params)}
    return Candidate({}, (macs, params), {1: macs}, {"known": known})


def observed(seconds: dict[float, float | None]) -> list[Observation]:
    return [Observation(candidate(macs), (0.1, macs), seconds=took) for macs, took in seconds.items()]


def test_seconds_follow_the_costs_within_what_was_seen() -> None:
    rng = random.Random(0)
    costs = [10 ** rng.uniform(4, 7) for _ in range(40)]
    seen = observed({macs: 0.02 * macs**0.3 * math.exp(rng.gauss(0, 0.1)) for macs in costs})
    asked = [2e4, 2e5, 2e6]
    found = DurationModel(seen).seconds([candidate(macs) for macs in asked])
    assert np.allclose(found, [0.02 * macs**0.3 for macs in asked], rtol=0.15)
    times = [item.seconds for item in seen]
    assert DurationModel(seen).seconds([candidate(1.0), candidate(1e12)]).tolist() == [min(times), max(times)]


def test_what_nothing_is_known_of_takes_as_long_as_all() -> None:
    few = observed({10.0**i: 1.0 + i for i in range(FEWEST - 1)})
    assert DurationModel(few).seconds([candidate(10.0), candidate(1e5)]).tolist() == [1, 1]
    stopped = observed({10.0**i: None if i else 3.0 for i in range(12)})
    assert DurationModel(stopped).seconds([candidate(10.0), candidate(1e5)]).tolist() == [1, 1]
    alike = [Observation(candidate(5.0), (0.1,), seconds=took) for took in (1.0, 2.0, 4.0) * 3]
    assert DurationModel(alike).seconds([candidate(10.0), candidate(1e5)]) == pytest.approx([2, 2])
    bare = [Candidate({}, i, {}, {}) for i in range(3)]
    assert DurationModel([Observation(c, (0.1,), seconds=2.0) for c in bare * 3]).seconds(bare).tolist() == [1, 1, 1]
    assert DurationModel(few).seconds([]).tolist() == []


def test_places_lie_in_the_widest_gap_ends_first() -> None:
    places: list[float] = []
    for _ in range(9):
        places.append(_gap(places))
    assert places[:3] == [0.0, 1.0, 0.5]
    assert sorted(places) == [i / 8 for i in range(9)]
    assert _gap([0.7]) == 0.0
    assert _gap([0.1, 0.6]) == 1.0
    assert _gap([-3.0, 8.0]) == 0.5  # beyond what is asked about


def cost(params: dict[str, float]) -> float:
    return float(params["width"] * params["depth"])


def spent(per_second: bool) -> float:
    """Mean cost of what a search proposes after its start, where a trial takes seconds as its cost."""
    sampler = KnownCostSampler({1: cost}, seed=0, startup=8, per_second=per_second)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    begin = datetime(2026, 1, 1)
    for _ in range(26):
        trial = study.ask()
        params = {"width": trial.suggest_int("width", 1, 64), "depth": trial.suggest_int("depth", 1, 16)}
        values = [1 / math.sqrt(cost(params)) + 0.02 * abs(params["depth"] - 6), cost(params)]
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        told = study.trials[-1]
        study.add_trial(
            optuna.trial.FrozenTrial(
                number=-1,
                trial_id=-1,
                state=optuna.trial.TrialState.COMPLETE,
                value=None,
                values=values,
                datetime_start=begin,
                datetime_complete=begin + timedelta(seconds=0.01 * cost(params)),
                params=told.params,
                distributions=told.distributions,
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
        )
    noted = [t.system_attrs.get("derivation", {}) for t in study.trials]
    assert all(("seconds" in note) == per_second for note in noted if "gain" in note)
    asked = [t for t in study.trials if "gain" in t.system_attrs.get("derivation", {})]
    assert len(asked) > 8
    return float(np.mean([cost(t.params) for t in asked]))


def test_what_takes_long_is_proposed_less_often_where_seconds_count() -> None:
    assert spent(per_second=True) < 0.7 * spent(per_second=False)
