"""How time and MACs of a mixer grow with the number of tokens, one thread, forward pass, minimum of 7 runs.

    python benchmarks/scaling.py [--check] [--plot FILE.png]

Exponents are slopes of least squares on log-log. Bar: sentences of linear cost have a MAC exponent of 1.00 and a time
exponent of at most 1.15; softmax attention is printed beside them.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import torch

import metamixer as mm

WIDTH = 32
SIDES = (16, 24, 32, 48, 64, 96, 128)  # 256 to 16,384 tokens
RUNS = 7
TIME_BAR, MAC_BAR = 1.15, 0.005
SENTENCES = {
    "linear attention": "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(4) >> lin",
    "Flowformer": "(dot0(lin >> sig,lin >> sig) -> flow -> mm(lin))@h(4) >> lin",
    "InLine": "(dot(lin,lin) -> center -> mm(lin))@h(4) >> lin",
    "Agent": "let q = lin, k = lin, v = lin, a = pool(4,q) in att(q,a,att(a,k,v))@h(4) + dw(3,v) >> lin",
    "window attention": "att(lin,lin,lin)@win(8)@h(4) >> lin",
    "NiNformer, hidden width 64": "lin * (res(norm >> (lin(64) >> gelu >> lin(D))@T) >> res(norm >> ffn(2)))",
}
QUADRATIC = {"softmax attention": "att(lin,lin,lin)@h(4) >> lin"}


def slope(sizes: list[int], values: list[float]) -> float:
    """Least-squares exponent of values in sizes."""
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def seconds(net: torch.nn.Module, x: torch.Tensor) -> float:
    """The shortest of several forward passes."""
    best = math.inf
    with torch.inference_mode():
        net(x)
        for _ in range(RUNS):
            start = time.perf_counter()
            net(x)
            best = min(best, time.perf_counter() - start)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--plot", help="write the times as a picture (PNG)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    missed = False
    times: dict[str, list[float]] = {}
    tokens = [side * side for side in SIDES]
    sizes = ", ".join(map(str, tokens))
    print(f"{'sentence':<28}{'MAC exponent':>13}{'time exponent':>15}   milliseconds at {sizes} tokens")
    for name, text in (SENTENCES | QUADRATIC).items():
        macs, spent = [], []
        for side in SIDES:
            # what a sentence does beside its projections is the mixing; all of it counts here
            macs.append(float(mm.cost(text, WIDTH, (side, side)).macs))
            spent.append(seconds(mm.build(text, WIDTH, (side, side)).eval(), torch.randn(1, side, side, WIDTH)))
        times[name] = spent
        mac_exponent, time_exponent = slope(tokens, macs), slope(tokens, spent)
        linear = name in SENTENCES
        bad = linear and (abs(mac_exponent - 1) > MAC_BAR or time_exponent > TIME_BAR)
        missed = missed or bad
        row = " ".join(f"{value * 1e3:.2f}" for value in spent)
        print(f"{name:<28}{mac_exponent:>13.3f}{time_exponent:>15.2f}   {row}{'   MISSED' if bad else ''}")
    if options.plot:
        plot(tokens, times, options.plot)
    return int(options.check and missed)


def plot(tokens: list[int], times: dict[str, list[float]], path: str) -> None:
    """Times on log-log axes."""
    from pathlib import Path

    import plotly.graph_objects as go

    from metamixer.report.image import png

    figure = go.Figure([go.Scatter(x=tokens, y=[t * 1e3 for t in ys], name=name) for name, ys in times.items()])
    figure.update_xaxes(type="log", title="tokens")
    figure.update_yaxes(type="log", title="milliseconds, one forward pass")
    png(figure, Path(path))


if __name__ == "__main__":
    sys.exit(main())
