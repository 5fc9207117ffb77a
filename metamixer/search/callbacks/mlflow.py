"""MLflow: an experiment for every study, a run for every trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metamixer.record import Trial
from metamixer.search.callbacks import numbers

# What MLflow takes in one call, and in one value.
_METRICS, _LETTERS = 1000, 6000


class MLflow:
    """Writes to `MLFLOW_TRACKING_URI`; without one to the folder `mlflow` of the run.

    A trial is known by its tag `metamixer.trial`: what stands there already is left alone.
    """

    def __init__(self) -> None:
        from mlflow import entities, tracking

        self._entities, self._tracking = entities, tracking

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            # MLflow wants to be asked for its file store; its database store is not part of mlflow-skinny.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = f"file:{(run / 'mlflow').resolve()}"
        self._client = self._tracking.MlflowClient(tracking_uri=uri)
        name = str(settings["study"]["name"])
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)
        self._there: set[str] = set()
        token = None
        while True:
            page = self._client.search_runs([self._experiment], page_token=token)
            self._there |= {one.data.tags.get("metamixer.trial", "") for one in page if one.info.end_time}
            # A run that was cut off is not ended: it is written again.
            for one in page:
                if not one.info.end_time:
                    self._client.delete_run(one.info.run_id)
            token = page.token
            if not token:
                break

    def ended(self, trial: Trial) -> None:
        if trial.kind == "rejected" or str(trial.number) in self._there:
            return
        Metric, Param, RunTag = (getattr(self._entities, name) for name in ("Metric", "Param", "RunTag"))
        start = int(1000 * (trial.started or 0))
        tags = [
            RunTag("metamixer.trial", str(trial.number)),
            RunTag("kind", trial.kind),
            RunTag("reason", trial.reason or ""),
        ]
        made = self._client.create_run(self._experiment, start_time=start, run_name=f"trial {trial.number}")
        metrics = [
            Metric(name, float(value), start + int(1000 * epoch.get("seconds", 0)), int(epoch["epoch"]))
            for epoch in trial.curve
            for name, value in epoch.items()
            if name != "epoch"
        ]
        metrics += [Metric(f"final_{name}", value, start, 0) for name, value in numbers(trial).items()]
        params = [
            Param("sentence", trial.sentence[:_LETTERS]),
            Param("key", str(trial.key)),
            Param("seed", str(trial.seed)),
        ]
        self._client.log_batch(made.info.run_id, metrics[:_METRICS], params, tags)
        for at in range(_METRICS, len(metrics), _METRICS):
            self._client.log_batch(made.info.run_id, metrics[at : at + _METRICS])
        status = {"complete": "FINISHED", "pruned": "KILLED"}.get(trial.state, "FAILED")
        self._client.set_terminated(made.info.run_id, status, start + int(1000 * (trial.seconds or 0)) + 1)

    def close(self) -> None:
        pass
