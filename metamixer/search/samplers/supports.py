"""Which sampler supports what: `python -m metamixer.search.samplers.supports > docs/samplers.md`.

Our engines say it of themselves (`supports`); what holds for Optuna's samplers as a study uses them is said here.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from metamixer.search.configuration import SAMPLERS, SearchSection
from metamixer.search.samplers.core.observations import Supports
from metamixer.search.samplers.core.optimizer import KnownCost
from metamixer.search.samplers.evolution import Evolution

OPTUNA: dict[str, tuple[type[BaseSampler], Supports]] = {
    "random": (RandomSampler, Supports("the prior alone", "all")),
    "nsga2": (NSGAIISampler, Supports("crossover of generations", "those that all trials share")),
    "tpe": (TPESampler, Supports("densities of good and bad trials", "all, in groups", running=True)),
    "gp": (GPSampler, Supports("Gaussian process", "those that all trials share", running=True)),
}
OWN: dict[str, type[KnownCost] | type[Evolution]] = {"known-cost": KnownCost, "evolution": Evolution}

HEAD = """\
# Samplers

`[search] sampler` of a study, or `--sampler`. Every one takes several objectives, is a function of the study's seed,
the trial's number and the record, and its proposals pass the same filter: an architecture that is known, ill-typed or
over a limit is refused before a worker sees it. What `[search] start` names (catalogue entries, trials of runs as
`digits#12`, sentences) is proposed first by each of them. This page is written by `python -m
metamixer.search.samplers.supports` from the classes; a test says when it is out of date.

"""
TAIL = """\

*Cost known*: FLOPs are taken as the exact function of the sentence that they are, not learned from trials. *Sees the
sentence*: rules and graph of a sentence, so that a choice teaches about the same choice elsewhere in the tree.
*Running trials*: what is being trained counts, so that workers do not ask for the same. *Replicates*: further seeds
and baselines teach, noise is estimated from them, and the front is recommended by what is believed instead of by
lucky trials. *No repeats*: known architectures and those over a limit are not proposed in the first place.

`known-cost` spreads its first `startup` architectures over the range of FLOPs. Then a Gaussian process models the
error: its kernel is a weighted sum of likeness in four families of features, of the product of these, and of a linear
trend in each family, namely the rules under which choices were taken, the labels of the sentence's phrases,
Weisfeiler-Lehman features of its graph, and the logarithms of what it costs (multiply-accumulates, parameters,
elementwise operations, activations); weights, widths and noise by marginal likelihood. Of a pool of new, legal
sentences (drawn, mutated, crossed, and mutations of the best of these) the one of largest expected gain of hypervolume
is proposed: per training where the budget is counted in trainings or epochs, per expected second where it is counted in
hours (`--budget 2h`). The seconds are learned from the trainings so far as a function of what a sentence costs; so a
search by hours is no function of its seed alone. Above 150 trainings the kernel is fitted to 150 of them, above 1,500
it stands on 1,500.

In plain Optuna the same two are `metamixer.search.samplers.KnownCostSampler` and `EvolutionSampler`, for any
objective that is written as code:

```python
import optuna

from metamixer.search.samplers import KnownCostSampler


def macs(params):
    return params["width"] ** 2 * params["depth"]


def objective(trial):
    width, depth = trial.suggest_int("width", 8, 64), trial.suggest_int("depth", 1, 4)
    return (width * depth) ** 0.5, macs(trial.params)


sampler = KnownCostSampler(known={1: macs}, seed=0)  # the objective with index 1 is this function of the parameters
study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
study.optimize(objective, n_trials=20)
```

There names, domains and conditions are those that trials have shown. The first trial is random; a name that no trial
had is drawn at random when it is asked for; an alternative is tried once before it is known what it asks for. A
condition is learned where the value of one earlier parameter decides; other conditions are guessed from the most
similar trial. The front is thinned to 120 points with three objectives and to 24 with more, where boxes would become
too many.
"""


def supports(name: str) -> Supports:
    """What the sampler of a name supports."""
    return OWN[name].supports if name in OWN else OPTUNA[name][1]


def page() -> str:
    """docs/samplers.md."""
    told = ["cost known", "sees the sentence", "running trials", "replicates", "no repeats"]
    columns = ["sampler", "proposes by", "conditional choices", *told]
    default = SearchSection().sampler
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for name in sorted(SAMPLERS, key=lambda n: (n != default, n not in OWN, n)):
        of = supports(name)
        marks = (of.known_cost, of.sentence, of.running, of.replicates, of.no_repeats)
        cells = [f"`{name}`" + (" (default)" if name == default else ""), of.by, of.conditional]
        lines.append("| " + " | ".join([*cells, *("yes" if mark else "" for mark in marks)]) + " |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    print(page(), end="")
