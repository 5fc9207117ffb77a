"""How long 10,000 networks of the shipped space take: draw, check, key, cost; on one core, nothing prepared.

    python benchmarks/space.py [--check]

Bar: below 10 seconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import metamixer as mm
from metamixer.tasks import get

DRAWS, SECONDS = 10_000, 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 below the bar")
    check = parser.parse_args().check
    space, task, rng = mm.Space.load("digits"), get("digits-hard"), random.Random(0)
    keys = set()
    start = time.perf_counter()
    for _ in range(DRAWS):
        network = task.network(space.draw(rng, task.channels, task.grid).sentence)
        keys.add(network.key(task.channels, task.grid))
        mm.cost(network, task.channels, task.grid)
    seconds = time.perf_counter() - start
    print(f"{'networks':>10} {'distinct':>10} {'seconds':>8} {'per second':>11} {'bar':>8}")
    print(f"{DRAWS:>10,} {len(keys):>10,} {seconds:>8.2f} {DRAWS / seconds:>11,.0f} {SECONDS:>6.0f} s")
    return int(check and seconds > SECONDS)


if __name__ == "__main__":
    sys.exit(main())
