"""Trials in Optuna's tables, each written in one transaction of a few statements.

Optuna's own `add_trial` asks the database four times for every parameter, and its `tell` is a transaction beside that
of the attributes. What stands in the tables afterwards is the same: Optuna and its dashboard read it.

The record is the user attribute `trial`, a JSON document. Everything else is for those who look with Optuna's tools:
the main figures as attributes of their own, the validation accuracy of each epoch as intermediate values, and a
violated constraint on baselines and replicates, which keeps them out of the best trials. metamixer reads none of it.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from metamixer import record
from metamixer.record import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from sqlalchemy import Connection

CONSTRAINT = "constraints"  # Optuna's system attribute; a trial is feasible where all of the list are at most 0
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


def number_to_id(db: Connection, study: int, number: int) -> int | None:
    """The id of the trial of a number, if it stands there."""
    from optuna.storages._rdb.models import TrialModel
    from sqlalchemy import select

    trials = TrialModel.__table__
    found = select(trials.c.trial_id).where(trials.c.study_id == study, trials.c.number == number)
    return db.execute(found).scalar_one_or_none()


def insert(
    db: Connection,
    study: int,
    trial: Trial,
    values: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    notes: dict[str, Any],
) -> int:
    """Write a new trial with its parameters; returns its id.

    Args:
        db: A connection in a transaction.
        study: The study's number in the database.
        trial: The trial; its number must be the next.
        values: Parameters by name.
        distributions: Their domains.
        notes: What the sampler wants to keep, Optuna's system attributes.
    """
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from sqlalchemy import insert as into

    now = datetime.now()
    trials: Any = models.TrialModel.__table__
    added = db.execute(
        into(trials).values(
            number=trial.number,
            study_id=study,
            state=_STATES[trial.state],
            datetime_start=now,
            datetime_complete=now if trial.finished else None,
        )
    )
    key = added.inserted_primary_key
    assert key is not None  # one row, one key
    trial_id = int(key[0])
    parameters = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(distributions[name]),
        }
        for name, value in values.items()
    ]
    written = [(models.TrialUserAttributeModel, "trial", document(trial))]
    written += [(models.TrialUserAttributeModel, key, value) for key, value in figures(trial).items()]
    if trial.kind in ("baseline", "replicate", "retrained"):
        notes = {**notes, CONSTRAINT: [1.0]}
    written += [(models.TrialSystemAttributeModel, key, value) for key, value in notes.items()]
    if parameters:
        db.execute(into(models.TrialParamModel.__table__), parameters)
    for model, key, value in written:
        db.execute(into(model.__table__).values(trial_id=trial_id, key=key, value_json=json.dumps(value)))
    _insert_values(db, trial_id, trial)
    return trial_id


def rewrite(db: Connection, trial_id: int, trial: Trial) -> None:
    """Write a trial's document anew."""
    from optuna.storages._rdb.models import TrialUserAttributeModel
    from sqlalchemy import update

    notes: Any = TrialUserAttributeModel.__table__
    mine = (notes.c.trial_id == trial_id) & (notes.c.key == "trial")
    db.execute(update(notes).where(mine).values(value_json=json.dumps(document(trial))))


def finish(db: Connection, trial_id: int, trial: Trial) -> None:
    """Write what Optuna sees of a trial's end: its state and, if complete, accuracy and FLOPs."""
    from optuna.storages._rdb.models import TrialModel
    from sqlalchemy import update

    trials: Any = TrialModel.__table__
    mine = (trials.c.trial_id == trial_id) & (trials.c.state == "RUNNING")
    ended = update(trials).where(mine).values(state=_STATES[trial.state], datetime_complete=datetime.now())
    if db.execute(ended).rowcount:  # none where the answer to an earlier try was lost
        _rewrite_figures(db, trial_id, trial)
        _insert_values(db, trial_id, trial)


def reopen(db: Connection, trial_id: int, trial: Trial) -> None:
    """Make a trial that failed a running one again."""
    from optuna.storages._rdb.models import TrialModel
    from sqlalchemy import update

    rewrite(db, trial_id, trial)
    trials: Any = TrialModel.__table__
    mine = (trials.c.trial_id == trial_id) & (trials.c.state == "FAIL")
    db.execute(update(trials).where(mine).values(state="RUNNING", datetime_complete=None))


def note(db: Connection, study: int, key: str, value: Any) -> None:
    """Write an attribute of the study."""
    from optuna.storages._rdb.models import StudyUserAttributeModel
    from sqlalchemy import insert as into
    from sqlalchemy import update

    notes: Any = StudyUserAttributeModel.__table__
    text = json.dumps(value)
    mine = (notes.c.study_id == study) & (notes.c.key == key)
    if not db.execute(update(notes).where(mine).values(value_json=text)).rowcount:
        db.execute(into(notes).values(study_id=study, key=key, value_json=text))


def document(trial: Trial) -> dict[str, Any]:
    """What is written of a trial, beside its number and state."""
    return {name: getattr(trial, name) for name in record.FIELDS}


def figures(trial: Trial) -> dict[str, Any]:
    """A trial's main figures as attributes of their own; those that it has."""
    cost = trial.cost or {}
    reached = trial.curve[-1].get("validation_accuracy") if trial.curve and trial.state == "pruned" else None
    found = {
        "kind": trial.kind,
        "name": trial.name,
        "accuracy": trial.accuracy,
        "accuracy when stopped": reached,
        "epochs": trial.epochs,
        "MACs": cost.get("macs"),
        "parameters": cost.get("params"),
        "replicate of": trial.replicate_of,
        "retrains": trial.retrains,
        "test accuracy": trial.test["accuracy"] if trial.test is not None else None,
        "reason": trial.reason,
    }
    return {name: value for name, value in found.items() if value is not None}


def _rewrite_figures(db: Connection, trial_id: int, trial: Trial) -> None:
    from optuna.storages._rdb.models import TrialUserAttributeModel
    from sqlalchemy import delete
    from sqlalchemy import insert as into

    notes: Any = TrialUserAttributeModel.__table__
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in figures(trial).items()
    ]
    db.execute(delete(notes).where(notes.c.trial_id == trial_id, notes.c.key != "trial"))
    db.execute(into(notes), rows)


def _insert_values(db: Connection, trial_id: int, trial: Trial) -> None:
    """Values for Optuna: of every epoch, and the two of the end.

    A trial that was stopped early has no intermediate values: Optuna's TPE asks a study with two objectives for its
    one direction as soon as a pruned trial has any, and fails.
    """
    from optuna.storages._rdb.models import TrialIntermediateValueModel, TrialValueModel
    from sqlalchemy import delete
    from sqlalchemy import insert as into

    # A trial that failed and is tried again has those of its first life.
    epochs = TrialIntermediateValueModel.__table__
    db.execute(delete(epochs).where(epochs.c.trial_id == trial_id))
    accuracies = {epoch.get("epoch"): epoch.get("validation_accuracy") for epoch in trial.curve}
    steps = [
        {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
        for step, value in accuracies.items()
        if isinstance(step, int) and isinstance(value, float) and math.isfinite(value)
    ]
    if steps and trial.state != "pruned":
        db.execute(into(epochs), steps)
    if trial.values is None:
        return
    both = [
        {"trial_id": trial_id, "objective": objective, "value": value, "value_type": "FINITE"}
        for objective, value in enumerate(trial.values)
    ]
    db.execute(into(TrialValueModel.__table__), both)
