"""The search's own models and optimizers, for whoever has architectures with known costs: numpy and scipy alone.

The law of this folder: beside numpy, scipy and the standard library its files import each other, `metamixer.pareto`,
and `metamixer.language.spaces.path`, which says what the name of a choice means; no Optuna, no record, no file. What
is proposed is a function of the arguments. So plain Optuna users, the dashboard and a notebook can import it, and
`tests/search/samplers/test_core.py` looks at every import.

`features`          what a model sees of a derivation, and distances between architectures
`gaussian_process`  one objective: kernel, marginal likelihood, posterior, outcome transform
`surrogate`         all objectives after some observations, exact ones included
`variation`         candidates: sample, mutate, crossover
`optimizer`         what an optimizer is; by expected gain of hypervolume with known costs
`evolution`         by mutation and crossover of an archive
`observations`      what was evaluated
`duration`          how long evaluations take
`pareto`            boxes below a front, and the expected gain of hypervolume
"""
