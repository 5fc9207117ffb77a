"""The page of samplers: `python -m metamixer.search.samplers.page > docs/samplers.md`, written from the registry."""

from __future__ import annotations

from metamixer.search.samplers.registry import DEFAULT, SHIPPED

HEAD = """\
# Samplers

`[search] sampler` of a study, or `--sampler`. Every one takes several objectives, is a function of the study's seed,
the trial's number and the record, and its proposals pass the same filter: an architecture that is known, ill-typed or
over a limit is refused before a worker sees it. What `[search] initial_points` names (catalogue entries, trials of runs
as `digits#12`, sentences) is proposed first by each of them. This page is written by `python -m
metamixer.search.samplers.page` from the registry; a test says when it is out of date.

"""
TAIL = """\

*Cost known*: FLOPs are taken as the exact function of the sentence that they are, not learned from trials. *Sees the
sentence*: rules and graph of a sentence, so that a choice teaches about the same choice elsewhere in the tree.
*Running trials*: what is being trained counts, so that workers do not ask for the same. *Replicates*: further seeds
and baselines teach, noise is estimated from them, and the front is recommended by what the model expects instead of by
lucky trials. *No repeats*: known architectures and those over a limit are not proposed in the first place.

`known-cost` spreads its first `startup` architectures over the range of FLOPs. Then a Gaussian process models the
error: its kernel is a weighted sum of likeness in four families of features, of the product of these, and of a linear
trend in each family, namely the rules under which choices were taken, the labels of the sentence's phrases,
Weisfeiler-Lehman features of its graph, and the logarithms of what it costs (multiply-accumulates, parameters,
elementwise operations, activations); weights, widths and noise by marginal likelihood. Of a pool of new, legal
sentences (drawn, mutated, crossed over, and mutations of the best of these) the one of largest expected gain of
hypervolume is proposed: per training where the budget is counted in trainings or epochs, per expected second where it
is counted in hours (`--budget 2h`). The seconds are learned from the trainings so far as a function of what a sentence
costs; so a search by hours is no function of its seed alone. Above 150 trainings the kernel is fitted to 150 of them,
above 1,500 it stands on 1,500.

## A sampler of your own

`sampler = "package.module:Class"` in a study, or `--sampler package.module:Class`, takes

- a subclass of `optuna.samplers.BaseSampler`. It sees accuracy (maximised) and FLOPs (minimised) of the search's own
  trials, after the first `startup` ones. If it takes a `seed` it is made anew for every proposal, with a seed that
  follows from the study's and the trial's number: then a search that is continued proposes what it would have proposed.
  Otherwise it is made once, without arguments, and what it remembers is gone when the search is started again. What it
  proposes and cannot be taken at a place of the grammar becomes the nearest value that can, before Optuna stores it.
- a class with three methods, `observe`, `propose` and `recommend`, which is called with a `Setup`:
  `metamixer.search.samplers.protocol` says what they are given and what they return. `propose` draws architectures by
  `space.sample`, each with its key and cost, and returns one as a `Suggestion`; its `origin` and `parents` stand in the
  trial. From a module `mine` in the working directory:

```python
from metamixer.search.samplers.protocol import Suggestion


class Cheapest:  # of eight draws from the prior the one with the fewest multiply-accumulates
    def __init__(self, setup):
        self.draws = 8

    def observe(self, trial, parameters):
        pass

    def propose(self, number, space, known, rng):
        samples = [space.sample(lambda name, choice: choice.draw(rng)) for _ in range(self.draws)]
        legal = [sample for sample in samples if sample.reason is None and sample.key not in known]
        return Suggestion(min(legal, key=lambda sample: sample.cost["macs"]), origin="cheapest") if legal else None

    def recommend(self, replicates=True):
        return None
```

A package makes its samplers known by name under the entry-point group `metamixer.samplers`:
`[project.entry-points."metamixer.samplers"]`, `cheapest = "mine:Cheapest"`; then `--sampler cheapest`. A sampler that
raises, or proposes what the space does not have, ends the search with one message that names it; what was trained stays
in the record.

## In plain Optuna

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


def page() -> str:
    """docs/samplers.md."""
    properties = ["cost known", "sees the sentence", "running trials", "replicates", "no repeats"]
    columns = ["sampler", "proposes by", "conditional choices", *properties]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for name, shipped in SHIPPED.items():
        supports = shipped.supports
        marks = (supports.known_cost, supports.sentence, supports.running, supports.replicates, supports.no_repeats)
        cells = [f"`{name}`" + (" (default)" if name == DEFAULT else ""), supports.by, supports.conditional]
        lines.append("| " + " | ".join([*cells, *("yes" if mark else "" for mark in marks)]) + " |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    print(page(), end="")
