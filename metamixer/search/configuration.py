"""A study's configuration: the TOML file, overrides, and what is refused.

Its sections are the fields of `StudyConfig`: `[study]`, `[data]`, `[training]`, `[limits]`, `[search]`,
`[pruning]`, `[baselines]`.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from metamixer import resources
from metamixer.data.section import DataSection, rooted
from metamixer.errors import ResourceError, StudyError
from metamixer.record import location as storages
from metamixer.search import budget as budgets
from metamixer.search.overrides import apply
from metamixer.search.samplers import registry
from metamixer.training import searched
from metamixer.training.recipe import Recipe

Keep = Literal["front", "all", "none"]

# Beyond these a number is a slip: no study of this kind needs more, and what follows from it may never end.
MAX_SEEDS = 1000
MAX_SEED = 2**63 - 1
MAX_COST = 10**18
MAX_WORKERS = 100_000
MAX_THREADS = 4096
MAX_GPUS = 1024
MAX_EPOCHS = 10_000
MAX_BRACKETS = 1000
RENAMED = {"stopping": "pruning", "search.start": "search.initial_points"}  # as version 0.1 called them


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class StudySection(_Section):
    """What is searched, and how much of it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run's folder below runs/")]
    task: Annotated[
        str | None, Field(min_length=1, description="a task that ships, or package.module:OBJECT; or else [data]")
    ] = None
    space: Annotated[str, Field(min_length=1, description="a space that ships, or a path, relative to this file")]
    budget: Annotated[
        int | str, Field(description="architectures trained (40; refused proposals do not count), or 300epochs, or 2h")
    ] = 40
    warm_start: Annotated[str | None, Field(min_length=1, description="an earlier run whose trainings are known")] = (
        None
    )
    seeds: Annotated[
        int, Field(ge=1, le=MAX_SEEDS, description="seeds of each searched architecture, one after another")
    ] = 1
    confirm: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SEEDS,
            description="seeds of each baseline, of each member of the front, and of each that the model holds for one",
        ),
    ] = 3
    seed: Annotated[int, Field(ge=0, le=MAX_SEED, description="everything random follows from it")] = 0
    keep: Annotated[Keep, Field(description="whose weights are kept")] = "front"
    storage: Annotated[
        str | None, Field(description="a database's URL, ${VARIABLES} filled in; default: study.db in the run's folder")
    ] = None

    @field_validator("storage")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        if value is not None and value.partition("://")[0] not in storages.SCHEMES:
            raise ValueError("a record lies on a PostgreSQL server, postgresql://host/database, or else in a file")
        return value

    @field_validator("budget", mode="before")
    @classmethod
    def _amount_of_a_unit(cls, value: Any) -> int | str:
        found = budgets.parse(value)
        if found.amount < 1 and found.unit != "hours":
            raise ValueError(f"a search of {found.amount:g} trials trains nothing")
        return int(found.amount) if found.unit == "trainings" else found.text


class Limits(_Section):
    """Bounds for one input, of the whole network with the task's head; without one there is none."""

    macs: Annotated[int | None, Field(gt=0, le=MAX_COST, description="multiply-accumulates; FLOPs are twice that")] = (
        None
    )
    params: Annotated[int | None, Field(gt=0, le=MAX_COST, description="trained parameters")] = None


class SearchSection(_Section):
    """How proposals are made and where they are trained."""

    sampler: Annotated[
        str, Field(description=f"{', '.join(registry.SHIPPED)}, a plug-in's, or your own as package.module:Class")
    ] = registry.DEFAULT
    startup: Annotated[
        int,
        Field(
            ge=1, le=budgets.MAX_TRAININGS, description="finished trials before the sampler takes over from prior draws"
        ),
    ] = 12
    initial_points: Annotated[
        tuple[str, ...],
        Field(description="what the search begins with: catalogue entries, trials of runs (digits#12), sentences"),
    ] = ()
    workers: Annotated[
        int | None, Field(ge=1, le=MAX_WORKERS, description="trials at a time; default: one a core, or as GPUs allow")
    ] = None
    threads: Annotated[int, Field(ge=1, le=MAX_THREADS, description="CPU threads of one trial")] = 1
    gpus: Annotated[float, Field(ge=0, le=MAX_GPUS, description="GPUs of one trial: a fraction shares one")] = 0.0
    address: Annotated[
        str | None, Field(min_length=1, description="a running Ray cluster, host:port; default: this machine alone")
    ] = None
    # TOML has no null: what is left out has the default, so a limit that is none is written inf.
    time_limit: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=True,
            description="processor seconds of one trial and thread (on a GPU: seconds); inf: none",
        ),
    ] = 120.0
    memory_limit: Annotated[
        float | None,
        Field(
            gt=0,
            description="megabytes that a worker's process holds and does not share; "
            "a trial that makes it larger is ended",
        ),
    ] = None
    retry_out_of_memory: Annotated[
        int,
        Field(ge=0, le=10, description="times a trial that ran out of memory is tried again, each at half the batch"),
    ] = 0
    evaluate: Annotated[str, Field(pattern=r"^[\w.]+:\w+$", description="what trains, as package.module:function")] = (
        "metamixer.training.evaluate:evaluate"
    )
    callbacks: Annotated[
        tuple[str, ...],
        Field(
            description="where trials are shown too: tensorboard, mlflow, wandb, or your own as package.module:Class"
        ),
    ] = ()
    references: Annotated[str, Field(pattern=r"^([\w.]+:\w+)?$", description="accuracies to print beside the best")] = (
        "metamixer.training.reference:reference_accuracies"
    )

    @field_validator("initial_points", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        try:
            registry.PLUGINS.find(value)
        except StudyError as error:
            facts = {"message": error.message, "advice": error.advice}
            raise PydanticCustomError("unknown_name", "{message}", facts) from None
        return value

    @field_validator("gpus")
    @classmethod
    def _whole_or_shared(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("GPUs of one trial are a fraction up to 1, or a whole number")
        return value


class Pruning(_Section):
    """Which trainings are stopped early: asynchronous successive halving by error at a rung and known cost."""

    rule: Annotated[
        Literal["none", "successive-halving"], Field(description="none: everything is trained to the end")
    ] = "none"
    first: Annotated[
        int | None,
        Field(ge=1, le=MAX_EPOCHS, description="epoch of the first rung; left out: when half of the epochs are over"),
    ] = None
    reduction: Annotated[
        int, Field(ge=2, le=MAX_EPOCHS, description="one of so many continues; rungs lie so many times apart")
    ] = 3
    margin: Annotated[
        float,
        Field(
            ge=0,
            description="what may still end on the front when its rung is wrong by so many standard deviations"
            " continues; 0: plain successive halving",
        ),
    ] = 2.5
    brackets: Annotated[
        int, Field(ge=1, le=MAX_BRACKETS, description="trials take turns in sets of rungs; each starts a rung later")
    ] = 1


class Baselines(_Section):
    """Catalogue entries trained under the same recipe; they do not count against the budget."""

    names: Annotated[
        tuple[str, ...] | None, Field(description="by default all that the catalogue has for the task")
    ] = None


class StudyConfig(_Section):
    """A whole study, resolved: every key has its value."""

    study: StudySection
    data: DataSection | None = None
    training: Recipe = Field(default_factory=Recipe)
    limits: Limits = Limits()
    search: SearchSection = SearchSection()
    pruning: Pruning = Pruning()
    baselines: Baselines = Baselines()
    _searched: dict[str, tuple[int | str, ...]] = PrivateAttr(default_factory=dict)

    @property
    def searched(self) -> Mapping[str, tuple[int | str, ...]]:
        """Keys of `[training]` that are chosen for each trial, and their alternatives; `training` has the first."""
        return self._searched

    @model_serializer(mode="wrap")
    def _with_alternatives(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        document["training"] |= {key: searched.written(values) for key, values in self._searched.items()}
        return document

    @property
    def budget(self) -> budgets.Budget:
        """What may be spent."""
        return budgets.parse(self.study.budget)

    @property
    def time_limit(self) -> float | None:
        """Seconds of one trial; None where there is no limit."""
        return self.search.time_limit if math.isfinite(self.search.time_limit) else None

    @model_validator(mode="after")
    def _one_training_at_least(self) -> StudyConfig:
        budget, epochs = self.budget, self.training.epochs
        if budget.unit == "epochs" and budget.amount < epochs:
            raise StudyError(
                f"{budget} are not enough for one training, which takes {epochs}",
                "study.budget",
                f"give a budget of {epochs}epochs or more, or fewer training.epochs",
            )
        return self


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """The configuration in a study file, with `section.key=value` overrides.

    Raises:
        ResourceError: There is no such study.
        StudyError: The file is no TOML, or a key or value is refused; the message names line, key and nearest key.
    """
    path = resources.find("studies", name_or_path)
    try:
        # Editors on Windows may begin a file with a byte-order mark.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError(
            f"not a text in UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}",
            place=str(path),
            advice="save the study file as UTF-8",
        ) from None
    except OSError as error:
        raise ResourceError(f"the study cannot be read: {error.strerror}", place=str(path)) from None
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside errors of TOML, numbers of thousands of digits
        raise StudyError(f"not a TOML file: {error}", place=str(path)) from None
    if isinstance(document.get("data"), dict):
        document["data"] = rooted(document["data"], path.parent)
    config = parse(document, overrides, text, str(path))
    beside = path.parent / config.study.space
    if config.study.space.endswith(".toml") and not Path(config.study.space).is_file() and beside.is_file():
        config = config.model_copy(update={"study": config.study.model_copy(update={"space": str(beside)})})
    return config


def parse(document: dict[str, Any], overrides: Sequence[str] = (), text: str = "", file: str = "") -> StudyConfig:
    """The configuration in a parsed study file; `text` and `file` are where messages point to.

    Relative paths of data begin at the working directory; `load` has put those of a file beside it.
    """
    document = deepcopy(document)
    given = apply(document, overrides)
    _require_one_task(document, text, file)
    if isinstance(document.get("data"), dict):
        document["data"] = rooted(document["data"], Path.cwd())
    alternatives = _alternatives(document, given, text, file)
    try:
        config = StudyConfig.model_validate(document)
    except ValidationError as error:
        raise _refusal(error, given, text, file) from None
    config._searched.update(alternatives)
    return config


def _alternatives(
    document: dict[str, Any], given: dict[tuple[str, ...], str], text: str, file: str
) -> dict[str, tuple[int | str, ...]]:
    """Takes the choices out of `[training]`, where the first alternative of each is left."""
    training = document.get("training")
    if not isinstance(training, dict):
        return {}
    try:
        found = searched.domains(training)
    except searched.RecipeError as error:
        key = next((key for key in training if f"training.{key}" in str(error)), "")
        place = next((f"--set {given[p]}" for p in given if p == ("training", key)), None)
        raise StudyError(str(error), place or _where(("training", key), text, file), error.advice) from None
    training |= {key: values[0] for key, values in found.items()}
    return found


def to_toml(config: StudyConfig) -> str:
    """The resolved configuration as a study file that starts the same study."""
    return tomli_w.dumps(_without_none(config.model_dump()))


def _without_none(value: Any) -> Any:
    """TOML has no null: a key without a value is left out, and so has its default, which is None."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def to_json(config: StudyConfig) -> dict[str, Any]:
    """The configuration as a record holds it; JSON has no infinity, so a limit that is none is null."""
    document = config.model_dump(mode="json")
    document["search"]["time_limit"] = config.time_limit
    return document


def _require_one_task(document: dict[str, Any], text: str, file: str) -> None:
    study = document.get("study")
    named = isinstance(study, dict) and study.get("task") is not None
    if named and document.get("data") is not None:
        raise StudyError(
            "a study is of a task or of data, not of both",
            _where(("study", "task"), text, file),
            "take out study.task, or the section [data]",
        )
    if isinstance(study, dict) and not named and document.get("data") is None:
        raise StudyError(
            "study.task is missing",
            _where(("study", "task"), text, file),
            "add it to the study: [study]; or name images of yours in a section [data]",
        )


def _refusal(error: ValidationError, given: dict[tuple[str, ...], str], text: str, file: str) -> StudyError:
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not path:  # of the study as a whole
        return StudyError(message, file or None)
    name = ".".join(path)
    place = next((f"--set {given[p]}" for p in given if p == path[: len(p)]), None) or _where(path, text, file)
    if first["type"] == "extra_forbidden":
        known = _known(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        what = "section" if len(path) == 1 else "key"
        advice = f"did you mean {near[0]}? " if near else ""
        if name in RENAMED:
            advice = f"it is called {RENAMED[name]} now. "
        return StudyError(f"unknown {what} {name}", place, advice + f"known here: {', '.join(known)}")
    if first["type"] == "missing":
        return StudyError(f"{name} is missing", place, f"add it to the study: [{path[0]}]")
    if first["type"] == "literal_error":
        known = [item.strip("' ") for item in re.split(r",| or ", first["ctx"]["expected"])]
        near = difflib.get_close_matches(str(first["input"]), known, n=1)
        advice = f"did you mean {near[0]}? " if near else ""
        return StudyError(f"unknown {path[-1]} {_short(first['input'])}", place, advice + f"one of: {', '.join(known)}")
    if first["type"] == "unknown_name":
        return StudyError(first["ctx"]["message"], place, first["ctx"]["advice"])
    if path == ("study", "budget"):
        if message.endswith("trains nothing"):
            return StudyError(message, place, "give study.budget (--budget) at least 1")
        return StudyError(f"{name} = {_short(first['input'])}: {message}", place, "write --budget 40, 300epochs or 2h")
    if path == ("study", "name"):
        advice = "a run's name is letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        return StudyError(f"{name} = {_short(first['input'])} is no name of a folder", place, advice)
    if path == ("study", "storage"):
        return StudyError(f"{name}: {message}", storages.hidden(place), "write its URL, or leave --storage out")
    if isinstance(first["input"], dict):  # a whole section: what does not fit together in it
        return StudyError(f"{name}: {message}", place)
    return StudyError(f"{name} = {_short(first['input'])}: {message[0].lower()}{message[1:]}", place)


def _short(value: Any) -> str:
    """A value as a message shows it."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "an integer of too many digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _known(path: tuple[str, ...]) -> list[str]:
    model: Any = StudyConfig
    for part in path:
        model = model.model_fields[part].annotation
        model = next((kind for kind in get_args(model) if kind is not type(None)), model)
    return list(model.model_fields)


def _where(path: tuple[str, ...], text: str, file: str) -> str:
    """File and line of a key, or of its section when the key is missing."""
    section, line_of_section = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            section = header.group(1).strip()
            if section == ".".join(path[:-1]) or section == ".".join(path) or section == path[0]:
                line_of_section = number
            continue
        key = re.match(r"\s*([\w.-]+|\"[^\"]*\")\s*=", line)
        if key and section == path[0] and len(path) > 1 and key.group(1).strip('"') == path[1]:
            return f"{file}, line {number}"
    found = f"{file}, line {line_of_section}" if line_of_section else file
    return found or "study configuration"
