from __future__ import annotations

from collections.abc import Callable

import pytest

from metamixer import record
from metamixer.errors import StudyError
from metamixer.search import budget
from metamixer.search.budget import Budget
from metamixer.search.driver.progress import Lines
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.confirm=1",)


@pytest.mark.parametrize(
    ("written", "amount", "unit", "text"),
    [
        (40, 40, "trainings", "40"),
        ("40", 40, "trainings", "40"),
        ("300epochs", 300, "epochs", "300epochs"),
        ("300 Epochs", 300, "epochs", "300epochs"),
        ("2h", 2, "hours", "2h"),
        ("1.5 hours", 1.5, "hours", "1.5h"),
    ],
)
def test_budgets_are_read_and_written(written: int | str, amount: float, unit: str, text: str) -> None:
    found = budget.parse(written)
    assert (found.amount, found.unit, found.text) == (amount, unit, text)
    assert budget.parse(found.text) == found


@pytest.mark.parametrize("written", ["", "many", "2d", "-3", "1.5", "1.5epochs", "3 5", None, 2.5])
def test_what_is_no_budget_is_refused(load: Load, written: str | float | None) -> None:
    with pytest.raises(ValueError, match=r"a budget is a number|only whole"):
        budget.parse(written)  # type: ignore[arg-type]
    if isinstance(written, str) and written:
        with pytest.raises(StudyError, match=r"study.budget = .*(a budget is a number of trainings|only whole)"):
            load(f'study.budget="{written}"')


def test_a_budget_below_one_training_is_refused(load: Load) -> None:
    with pytest.raises(StudyError, match="a search of 0 trials trains nothing"):
        load("study.budget=0")
    with pytest.raises(StudyError, match="3 epochs are not enough for one training, which takes 9") as error:
        load("study.budget=3epochs", "training.epochs=9")
    assert "9epochs" in (error.value.advice or "")


def test_a_budget_in_epochs_is_never_exceeded_and_can_be_raised(load: Load) -> None:
    lines: list[str] = []
    study = load(*SHORT, "study.budget=13epochs")
    assert study.run("inline", view=Lines(lines.append)).trained == 6
    assert study.config.study.budget == "13epochs"
    assert Study.load(study.path / "resolved.toml").config == study.config
    assert "(6 searched, 12 of 13 epochs)" in lines[-1]
    assert load(*SHORT, "study.budget=13epochs").run("inline").trained == 6
    assert load(*SHORT, "study.budget=20epochs").run("inline").trained == 10
    # The unit may change, too.
    assert load(*SHORT, "study.budget=12").run("inline").trained == 12
    with pytest.raises(StudyError, match="has spent 24 epochs, more than the budget of 20 epochs") as error:
        load(*SHORT, "study.budget=20epochs").run("inline")
    assert "24epochs" in (error.value.advice or "")


def test_what_early_stopping_saves_is_spent_on_more_architectures(load: Load) -> None:
    options = (*SHORT, "study.budget=90epochs", "training.epochs=9", "search.sampler=random")
    assert load(*options, name="full").run("inline").trained == 10
    study = load(*options, "pruning.rule=successive-halving", "pruning.first=1", "pruning.margin=0", name="stopping")
    assert study.run("inline").trained > 14
    epochs = [row.epochs or 0 for row in record.read(study.path) if row.kind == "searched"]
    assert 90 - 9 < sum(epochs) <= 90


def test_hours_say_when_no_more_begins() -> None:
    two = Budget(2, "hours")
    assert two.allows(two.spent(0, epochs=9, hours=1.99), epochs=9)
    assert not two.allows(two.spent(0, epochs=9, hours=2.0), epochs=9)
