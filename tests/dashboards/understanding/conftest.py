"""A study as a search leaves it: some recorded architectures of digits-bench, one seed each."""

from __future__ import annotations

import random

import pytest

from metamixer import resources
from metamixer.dashboards.understanding.front import Model
from metamixer.dashboards.understanding.trained import Architecture, Context, Study
from metamixer.simulate.table import Table, read


@pytest.fixture(scope="session")
def table() -> Table:
    return read(resources.find("tables", "digits-bench"))


@pytest.fixture(scope="session")
def study(table: Table) -> Study:
    """80 architectures, numbered from 0; every fifth has three seeds."""
    entries = random.Random(1).sample(table.entries, 80)
    ones = tuple(
        Architecture(i, e.sentence, e.choices, e.cost, tuple(t.accuracy for t in e.trainings[: 1 if i % 5 else 3]))
        for i, e in enumerate(entries)
    )
    return Study(Context.of(table.header), ones)


@pytest.fixture(scope="session")
def model(study: Study) -> Model:
    return Model.of(study)
