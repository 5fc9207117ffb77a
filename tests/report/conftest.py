"""A small but whole run: every kind and state of row, written through the search's own store."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

import metamixer as mm
from metamixer.record import FORMAT, Trial
from metamixer.search.storage.trial_store import TrialStore

CHANNELS, GRID, CLASSES = 1, (8, 8), 10
ATTENTION = "res(norm >> att(lin,lin,lin)@h(4) >> lin)"
SENTENCES = [
    f"patch(2,16) >> {ATTENTION} >> res(norm >> ffn(2)) >> norm",
    f"patch(2,32) >> ({ATTENTION} >> res(norm >> ffn(2)))^2 >> norm",
    "patch(2,16) >> (res(norm >> (lin(16) >> gelu >> lin(D))@T) >> res(norm >> ffn(2)))^3 >> norm",
    "patch(1,16) >> (res(conv(lin,#3) -> gelu -> conv(#3)) >> res(norm >> ffn(2)))^2 >> norm",
    "patch(2,32) >> res(norm >> lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))) >> norm",
    "patch(2,24) >> res(dw(3) >> norm >> ffn(4))^2 >> norm",
    "patch(1,16) >> res(norm >> att(lin,lin,lin)@h(2)@win(4) >> lin)"
    " >> res(norm >> att(lin,lin,lin)@h(2)@grid(4) >> lin) >> norm",
    "patch(2,32) >> res([.25: gn >> att(lin(8),lin(8),lin) | x] >> relu >> lin) >> norm",
    "patch(4,48) >> res(let q=lin,k=lin,v=lin in att(q,k,v)@h(4) >> lin) >> norm",
    "fconv(3,16) >> bn >> relu >> down(2,32) >> res(norm >> ffn(3))^4 >> norm",
]
BASELINES = {
    "vit": f"patch(2,32) >> pos >> ({ATTENTION} >> res(norm >> ffn(4)))^2 >> norm",
    "poolformer": "patch(2,24) >> (res(norm >> (lin - x)) >> res(norm >> ffn(4)))^2 >> norm",
    "mlp <mixer>": "patch(2,40) >> (res(norm >> (lin(32) >> gelu >> lin(D))@T) >> res(norm >> ffn(4)))^4 >> norm",
}
SETTINGS = {
    "study": {"name": "small", "task": "digits-hard", "space": "digits", "budget": 10, "confirm": 3, "seed": 7},
    "training": {"epochs": 5, "learning_rate": 0.006},
    "limits": {"macs": 3_000_000, "params": None},
    "search": {"sampler": "tpe", "workers": 2},
    "baselines": {"names": list(BASELINES)},
    "task": {"name": "digits-hard", "channels": CHANNELS, "grid": list(GRID), "classes": CLASSES},
    "space": {"name": "digits", "start": "network", "max_depth": 3, "rules": {"network": "patch(2,32) >> b^{2..6}"}},
    "reference_point": [0.1, 6e6],
    "versions": {"metamixer": mm.__version__, "torch": "2.13.0"},
    "format": FORMAT,
}  # fmt: skip


def add_trials(store: TrialStore) -> None:
    """Architectures, baselines, more seeds of them, a failure and refused proposals."""
    rng = random.Random(3)

    def row(sentence: str, **more: object) -> Trial:
        network = mm.parse(f"({sentence}) >> mean >> lin({CLASSES})")
        cost = mm.cost(network, channels=CHANNELS, grid=GRID)
        counted = {name: getattr(cost, name) for name in ("macs", "params", "elementwise", "activations")}
        key = hashlib.sha256(sentence.encode()).hexdigest()
        return Trial(
            -1,
            "running",
            "searched",
            sentence=sentence,
            key=key,
            cost=counted,
            seed=rng.randrange(2**31),
            started=1.7e9,
            **more,
        )  # type: ignore[arg-type]

    def finish(added: Trial) -> None:
        assert added.cost is not None
        top = 0.80 + 0.025 * math.log10(added.cost["macs"]) + rng.gauss(0, 0.01)
        curve = []
        for epoch in range(1, 6):
            accuracy = top * (1 - 0.7 * math.exp(-0.9 * epoch))
            loss = -math.log(accuracy)
            curve.append({"epoch": epoch, "train_loss": loss * 0.9, "train_accuracy": accuracy + 0.01,
                          "validation_loss": loss, "validation_accuracy": accuracy, "seconds": 0.8})  # fmt: skip
        final = curve[-1]
        store.finish(
            replace(added, state="complete", accuracy=final["validation_accuracy"], loss=final["validation_loss"],
                    curve=curve, seconds=4.2, device="cpu", versions={"torch": "2.13.0", "git": "0123abc"}, epochs=5)
        )  # fmt: skip

    firsts = []
    for i, sentence in enumerate(SENTENCES):
        choices = {"network#1": 2, "network/block/mixer#1": "att(lin,lin,lin)@h(4) >> lin", "network/block#2": i}
        firsts.append(store.add(row(sentence, choices=choices)))
        finish(firsts[-1])
    firsts += [store.add(replace(row(sentence), kind="baseline", name=name)) for name, sentence in BASELINES.items()]
    for first in firsts[len(SENTENCES) :]:
        finish(first)
    for first in firsts[:4] + firsts[len(SENTENCES) :]:
        for replicate in (1, 2):
            finish(
                store.add(
                    replace(row(first.sentence), kind="replicate", replicate_of=first.number, seed_index=replicate)
                )
            )
    broken = store.add(row("patch(2,32) >> res(lin >> exp) >> norm"))
    store.finish(
        replace(broken, state="failed", reason="nan", traceback="loss is nan </script><b>at</b> step 12", seconds=0.5)
    )
    store.add(
        replace(
            row("patch(1,64) >> res(norm >> ffn(9))^9 >> norm"),
            state="pruned",
            kind="rejected",
            reason="macs over the limit",
        )
    )
    store.add(
        Trial(
            -1,
            "pruned",
            "rejected",
            reason="ill-typed: h(3) does not divide 32",
            sentence="patch(2,32) >> att(lin,lin,lin)@h(3)",
        )
    )
    store.add(
        replace(row(SENTENCES[0]), state="pruned", kind="rejected", reason="duplicate of trial 0", duplicate_of=0)
    )
    store.set_references({"logistic regression": 0.83, "15 nearest neighbours": 0.93, "RBF-SVM": 0.965})


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    store = TrialStore(folder / "study.db", SETTINGS, {"task": "f"})
    try:
        add_trials(store)
    finally:
        store.close()
    return folder
