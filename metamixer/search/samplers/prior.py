"""`random`: every choice from the space's prior."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from metamixer.record import Trial
from metamixer.search.samplers.protocol import SampleSpace, Setup, Suggestion

if TYPE_CHECKING:
    from metamixer.search.storage.trial_store import Parameters


class PriorSampler:
    """Leaves all to the prior, and learns nothing."""

    def __init__(self, setup: Setup) -> None:
        pass

    def observe(self, trial: Trial, parameters: Parameters) -> None:
        pass

    def propose(
        self, number: int, space: SampleSpace, known: Mapping[str, int], rng: random.Random
    ) -> Suggestion | None:
        return None

    def recommend(self, replicates: bool = True) -> list[int] | None:
        return None
