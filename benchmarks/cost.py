"""Speed of what a search does before it trains: draw, check, key and cost of networks of twelve independent blocks.

    python benchmarks/cost.py            a table
    python benchmarks/cost.py --check    exit 1 below a bar
    python benchmarks/cost.py --parsed 200000    how large a process becomes that parses and drops so many sentences

One core, from a cold start: reading the space is part of the time, garbage collection too. What is judged is the time
of this process on its core; the time on the wall, which other load on the machine lengthens, stands beside it. Bars:
2,000 legal networks a second, 99 % of them distinct, at least 150 phrases in the median sentence, and ``mm.build`` of
one without memory (on the device ``meta``) in 150 ms. A process that parses, checks, keys and drops different
sentences stays below 1 GB, however many they are.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import time

import metamixer as mm
from metamixer.language.syntax.nodes import walk

RATE, DISTINCT, PHRASES, BUILD = 2000.0, 0.99, 150.0, 150.0
LARGEST = 1024.0  # MiB
CHANNELS, GRID, CLASSES = 3, (224, 224), 1000
SAMPLE = 1000  # sentences kept, for the median


def drawn(number: int) -> tuple[list[mm.Sentence], set[str], list[tuple[float, float]]]:
    """The first networks, all keys, and the time (of the core, on the wall) that had passed after each.

    A draw that does not fit would raise.
    """
    from metamixer.language.syntax.nodes import size, word

    start, wall, rng = time.process_time(), time.perf_counter(), random.Random(0)
    space = mm.Space.load("vision")
    sentences: list[mm.Sentence] = []
    keys: set[str] = set()
    passed: list[tuple[float, float]] = []
    for _ in range(number):
        sentence = space.draw(rng, CHANNELS, GRID).sentence.then(word("mean"), word("lin", size(CLASSES)))
        mm.check(sentence, CHANNELS, GRID)
        keys.add(sentence.key(CHANNELS, GRID))
        mm.cost(sentence, CHANNELS, GRID)
        if len(sentences) < SAMPLE:
            sentences.append(sentence)
        passed.append((time.process_time() - start, time.perf_counter() - wall))
    return sentences, keys, passed


def build_ms(sentences: list[mm.Sentence]) -> float:
    """Median time of building one network on the device meta."""
    import torch

    times = []
    for sentence in sentences:
        start = time.process_time()
        with torch.device("meta"):
            mm.build(sentence, CHANNELS, GRID)
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def parsed(number: int) -> float:
    """MiB that this process had at its largest, after it parsed and dropped so many different sentences."""
    space, rng = mm.Space.load("digits"), random.Random(0)
    for count in range(1, number + 1):
        text = f"{space.draw(rng, 1, (8, 8)).sentence} >> lin({count})"  # none is there twice
        mm.parse(text).key(1, (8, 8))
        if count % (number // 10 or 1) == 0:
            print(f"{count:>10,} sentences {_peak():>8,.0f} MiB", flush=True)
    return _peak()


def _peak() -> float:
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 below a bar")
    parser.add_argument("--number", type=int, default=20_000, help="networks to draw")
    parser.add_argument("--parsed", type=int, help="sentences to parse and drop, in place of the rest")
    options = parser.parse_args()
    if options.parsed:
        held = parsed(options.parsed) <= LARGEST
        print(f"bar {LARGEST:,.0f} MiB   {'holds' if held else 'MISSED'}")
        return 0 if held or not options.check else 1
    sentences, keys, passed = drawn(options.number)
    phrases = statistics.median(sum(1 for _ in walk(sentence.node)) for sentence in sentences)
    print(f"{'networks':>10} {'core s':>9} {'a second':>9} {'wall s':>9} {'a second':>9}   (from the cold start)")
    for number in sorted({100, 1000, 5000, options.number}):
        if number <= options.number:
            times = (f"{seconds:>9.2f} {number / seconds:>9,.0f}" for seconds in passed[number - 1])
            print(f"{number:>10,}", *times)
    rate, distinct, build = options.number / passed[-1][0], len(keys) / options.number, build_ms(sentences[:20])
    bars = [
        ("legal networks a second of core", rate, RATE, rate >= RATE),
        ("distinct keys", distinct, DISTINCT, distinct >= DISTINCT),
        ("phrases in the median sentence", phrases, PHRASES, phrases >= PHRASES),
        ("build on meta, ms", build, BUILD, build <= BUILD),
    ]
    print()
    for name, value, bar, held in bars:
        print(f"{name:32} {value:>10,.2f}   bar {bar:>8,.2f}   {'holds' if held else 'MISSED'}")
    return 0 if all(held for *_, held in bars) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
