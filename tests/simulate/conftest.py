from __future__ import annotations

import random
from typing import Any

import pytest

from metamixer import tasks
from metamixer.language import Space
from metamixer.search.proposals.proposer import costed
from metamixer.simulate.table import COLUMNS, Entry, Table, Training

RULES = {
    "network": "patch({1|2}, {8|16|24}) >> each(block, {1..3}) >> norm",
    "block": "res(norm >> mixer) >> res(norm >> ffn({1|2|3}))",
    "mixer": "{lin | dw({3|5}) | lin * mixer | att(lin,lin,lin)@h({1|2|3}) >> lin}",
}
EPOCHS = 9


def recorded(accuracy: float, macs: int, seed: int, rng: random.Random) -> Training:
    """A training whose accuracy rises to its end, and whose epochs take a second for each million of MACs."""
    final = accuracy + rng.gauss(0, 0.003)
    curve = {name: [0.5] * EPOCHS for name in COLUMNS}
    curve["validation_accuracy"] = [round(final * (1 - 0.5**epoch), 4) for epoch in range(1, EPOCHS + 1)]
    curve["seconds"] = [round(epoch * macs / 1e6, 3) for epoch in range(1, EPOCHS + 1)]
    return Training(seed, curve)


@pytest.fixture(scope="session")
def space() -> Space:
    return Space(RULES, start="network", max_depth=2, name="small")


@pytest.fixture(scope="session")
def table(space: Space) -> Table:
    """200 architectures of a small recursive space, whose accuracy grows with the logarithm of the cost."""
    task = tasks.get("digits-hard")
    rng = random.Random(0)
    domains: dict[str, list[int | str]] = {}
    entries: dict[str, Entry] = {}

    def choose(name: str, choice: Any) -> Any:
        domains.setdefault(name, list(choice.domain))
        return choice.draw(rng)

    while len(entries) < 200:
        drawn = space.draw(rng, 1, (8, 8), choose)
        priced = costed(drawn.sentence, task)
        quality = 0.4 + 0.07 * len(str(priced.cost["macs"])) + 0.02 * str(drawn.sentence).count("att")
        trainings = tuple(recorded(quality, priced.cost["macs"], seed, rng) for seed in range(3))
        entries[priced.key] = Entry(priced.key, priced.sentence, drawn.choices, priced.cost, trainings)
    header = {
        "name": "small",
        "task": {"name": task.name, "channels": 1, "grid": [8, 8], "classes": 10},
        "training": {"epochs": EPOCHS},
        "limits": {},
        "reference_point": [0.1, 2.0 * max(entry.flops for entry in entries.values())],
        "domains": domains,
    }
    return Table(header, tuple(entries.values()))
