"""How much a study may spend: a number of trainings, of epochs, or of hours.

`40` or `"40 trainings"`, `"300epochs"`, `"2h"`. What was spent is read from the trials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Unit = Literal["trainings", "epochs", "hours"]
MAX_TRAININGS = 10**7
LIMITS: dict[Unit, int] = {"trainings": MAX_TRAININGS, "epochs": 10**10, "hours": 10**6}
_UNITS: dict[str, Unit] = {
    "": "trainings",
    "training": "trainings",
    "trainings": "trainings",
    "epoch": "epochs",
    "epochs": "epochs",
    "h": "hours",
    "hour": "hours",
    "hours": "hours",
}


@dataclass(frozen=True)
class Budget:
    """An amount of one unit.

    Trainings are searched architectures, whether they finished, were stopped early, or failed. Epochs are those of
    their first seeds; a trial that is running counts with all it may take, so the amount is never exceeded. Hours are
    those that a driver ran, in all its lives: what is running when they are over is finished, and the front confirmed.
    """

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self._number} {self.unit}"

    @property
    def text(self) -> str:
        """As it is written in a study file or after `--budget`."""
        return self._number + {"trainings": "", "epochs": "epochs", "hours": "h"}[self.unit]

    @property
    def _number(self) -> str:
        """All digits and no exponent, so that it can be read again."""
        digits = format(Decimal(repr(self.amount)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits

    def spent(self, trainings: int, epochs: int, hours: float) -> float:
        """How much of it is gone: searched architectures, their epochs, or hours that drivers ran."""
        return {"trainings": float(trainings), "epochs": float(epochs), "hours": hours}[self.unit]

    def allows(self, spent: float, epochs: int) -> bool:
        """Whether one more training may begin."""
        if self.unit == "epochs":
            return spent + epochs <= self.amount
        return spent < self.amount


def parse(value: int | str) -> Budget:
    """The budget that a number or a text says.

    Raises:
        ValueError: It says none.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", str(value).lower())
    unit = _UNITS.get(found.group(2)) if found else None
    if found is None or unit is None:
        raise ValueError("a budget is a number of trainings (40), epochs (300epochs) or hours (2h)")
    amount = float(found.group(1))
    if amount > LIMITS[unit]:
        raise ValueError(f"more than {LIMITS[unit]:,} {unit} are a slip")
    if unit != "hours" and amount != int(amount):
        raise ValueError(f"there are only whole {unit}")
    return Budget(amount, unit)
