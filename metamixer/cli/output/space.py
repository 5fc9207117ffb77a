"""What ``metamixer space`` prints: how large a space is and what its networks cost."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from itertools import pairwise

from metamixer.cli.output.figures import Figure, print_table
from metamixer.cost.count import cost
from metamixer.language import Profile, Space
from metamixer.language.spaces import file
from metamixer.language.spaces.number import Number

PROFILE_DRAWS = 1000
PRINTED = 20


def space(space: str, draw: int | None, channels: int, grid: tuple[int, ...], seed: int, as_json: bool) -> int:
    """Prints size, rules and costs of a space, or draws from it."""
    chosen = Space.load(space)
    rng = random.Random(seed)
    if draw is not None and draw <= PRINTED:
        return _sentences(chosen, draw, rng, channels, grid, as_json)
    profile = chosen.profile(draw or PROFILE_DRAWS, cost, channels, grid, rng)
    size = chosen.size(channels, grid)
    if as_json:
        print(json.dumps(_facts(chosen, profile, size, channels, grid), indent=1))
    else:
        _print(chosen, profile, size, channels, grid)
    return 0


def space_schema() -> int:
    """Prints the JSON Schema of space files, for editors."""
    print(json.dumps(file.schema(), indent=1))
    return 0


def _sentences(
    chosen: Space, draws: int, rng: random.Random, channels: int, grid: tuple[int, ...], as_json: bool
) -> int:
    drawn = [chosen.draw(rng, channels, grid) for _ in range(draws)]
    if as_json:
        facts = []
        for one in drawn:
            costs = cost(one.sentence, channels, grid)
            key = one.sentence.key(channels, grid)
            facts.append(
                {
                    "sentence": str(one.sentence),
                    "choices": one.choices,
                    "key": key,
                    "macs": costs.macs,
                    "params": costs.params,
                }
            )
        print(json.dumps(facts, indent=1))
    else:
        for one in drawn:
            print(one.sentence)
    return 0


def quantiles(values: tuple[int, ...]) -> dict[str, int]:
    """Least, quartiles and greatest of sorted values."""
    last = len(values) - 1
    return {
        name: values[round(last * share)]
        for name, share in {"min": 0.0, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "max": 1.0}.items()
    }


def _facts(chosen: Space, profile: Profile, size: Number, channels: int, grid: tuple[int, ...]) -> dict[str, object]:
    return {
        "name": chosen.name, "start": chosen.start, "max_depth": chosen.max_depth, "rules": chosen.rules,
        "input": {"channels": channels, "grid": list(grid)},
        "derivations": size if isinstance(size, int) else str(size),
        "draws": profile.draws, "distinct": profile.distinct,
        "macs": quantiles(profile.macs), "params": quantiles(profile.params),
        "choices": {name: dict(counts) for name, counts in sorted(profile.values.items())},
    }  # fmt: skip


def _print(chosen: Space, profile: Profile, size: Number, channels: int, grid: tuple[int, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shape = "x".join(map(str, grid))
    console.print(
        f"[bold]{chosen.name}[/]: start {chosen.start}, max_depth {chosen.max_depth}, input {shape} x {channels}",
        highlight=False,
    )
    for rule, body in chosen.rules.items():
        console.print(f"  [bold]{rule}[/] = ", end="", highlight=False)
        console.print(body, markup=False, highlight=False, soft_wrap=True)
    if chosen.unused:
        console.print(f"never used: {', '.join(chosen.unused)}", highlight=False)
    console.print(
        f"well-typed derivations for this input: {size:,}{' (exact)' if isinstance(size, int) else ''}", highlight=False
    )
    console.print(f"draws: {profile.draws:,}, of them {profile.distinct:,} different architectures", highlight=False)

    def table(figure: Figure) -> Table:
        made = Table("", *quantiles(profile.macs), "on a log scale")
        for column in made.columns:
            column.no_wrap = True
        for name, values in (("MACs", profile.macs), ("params", profile.params)):
            made.add_row(name, *(figure(value) for value in quantiles(values).values()), bars(values))
        return made

    print_table(console, table)
    console.print(
        "MACs: multiply-accumulates of matrix products and convolutions for one input, without a task's head",
        highlight=False,
    )


def bars(values: tuple[int, ...], cells: int = 16) -> str:
    """Sorted counts as a histogram of one line, on a log scale; counts of nothing share the first cell with ones."""
    low, high = max(1, values[0]), values[-1]
    if low >= high:
        return "█"
    edges = [low * (high / low) ** (i / cells) for i in range(cells + 1)]
    cuts = [0] + [bisect_left(values, edge) for edge in edges[1:-1]] + [len(values)]
    counts = [after - before for before, after in pairwise(cuts)]
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * n // max(counts))] for n in counts)
