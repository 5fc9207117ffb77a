"""What the searches of these tests train: nothing. Accuracies follow from the sentence and the seed.

Named in studies as `toys:function`; this folder is on the path of the processes that run them.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Report = Callable[[dict[str, Any]], bool | None]


def tuned(job: Job, report: Report) -> dict[str, Any]:
    """As `fast`, and a learning rate of 3e-3 is worth a tenth more than any other."""
    result = fast(job, report)
    return {**result, "accuracy": result["accuracy"] - (0.0 if job["training"]["learning_rate"] == 3e-3 else 0.1)}


def fast(job: Job, report: Report) -> dict[str, Any]:
    """Longer sentences are better, a little noise for each seed; epochs take TOY_SECONDS each."""
    start = time.monotonic()
    spread = float(os.environ.get("TOY_NOISE", "0.005"))
    noise = random.Random(f"{job['sentence']} {job['seed']}").gauss(0, spread)
    accuracy = min(1.0, 0.95 - 20 / (40 + len(job["sentence"])) + noise)
    curve: list[dict[str, Any]] = []
    stopped = False
    for epoch in range(1, job["training"]["epochs"] + 1):
        time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
        curve.append(
            {
                "epoch": epoch,
                "train_loss": 1.0,
                "train_accuracy": accuracy,
                "validation_loss": 1.0,
                "validation_accuracy": accuracy,
                "seconds": time.monotonic() - start,
            }
        )
        stopped = report(dict(curve[-1])) is False and epoch < job["training"]["epochs"]
        if stopped:
            break
    if job["weights"] and not stopped:
        Path(job["weights"]).parent.mkdir(exist_ok=True)
        Path(job["weights"]).write_bytes(b"weights")
    return {
        "state": "stopped" if stopped else "finished",
        "reason": None,
        "accuracy": accuracy,
        "loss": 1.0,
        "curve": curve,
        "seconds": time.monotonic() - start,
        "device": "cpu",
        "versions": {"toys": "1"},
        "traceback": None,
    }


def crossing(job: Job, report: Report) -> dict[str, Any]:
    """Early epochs do not say much about the end."""
    curve: list[dict[str, Any]] = []

    def shaken(epoch: dict[str, Any]) -> bool | None:
        luck = random.Random(f"{job['sentence']} {epoch['epoch']}").gauss(0, 0.1)
        curve.append({**epoch, "validation_accuracy": epoch["validation_accuracy"] + luck})
        return report(dict(curve[-1]))

    return {**fast(job, shaken), "curve": curve}


def headstrong(job: Job, report: Report) -> dict[str, Any]:
    """Does not stop when it is told to."""

    def deaf(epoch: dict[str, Any]) -> None:
        report(epoch)

    return fast(job, deaf)


def silent(job: Job, report: Report) -> dict[str, Any]:
    """Stops when it is told to, and says that it finished."""
    return {**fast(job, report), "state": "finished"}


def ill(job: Job, report: Report) -> dict[str, Any]:
    """Every second trial fails, in one of four ways."""
    result = fast(job, report)
    match job["number"] % 8:
        case 1:
            return {**result, "accuracy": float("nan")}
        case 3:
            return {**result, "state": "failed", "reason": "out of memory", "accuracy": None, "traceback": "Trace"}
        case 5:
            raise ZeroDivisionError("by design")
        case 7:
            return {**result, "state": "failed", "reason": "time limit", "accuracy": None}
    return result


def hungry(job: Job, report: Report) -> dict[str, Any]:
    """Every second trial needs batches of 16 at most."""
    result = fast(job, report)
    if job["number"] % 2 and job["training"]["batch_size"] > 16:
        return {**result, "state": "failed", "reason": "out of memory", "accuracy": None}
    return result


kept: list[bytearray] = []


def leaking(job: Job, report: Report) -> dict[str, Any]:
    """Trial 1 takes more and more memory; what it took stays with its process, if that is a worker."""
    result = fast(job, report)
    taken = kept if os.environ.get("TOY_KEEPS") else []
    deadline = time.monotonic() + 60
    while job["number"] == 1 and time.monotonic() < deadline:
        taken.append(bytearray(b"x") * (8 * 2**20))
        time.sleep(0.01)
    return result


def broken(job: Job, report: Report) -> dict[str, Any]:
    raise ZeroDivisionError("by design")


def deadly(job: Job, report: Report) -> dict[str, Any]:
    """Trial 2 kills its process once, trial 4 always; trial 6 never ends."""
    once = Path(os.environ["TOY_FOLDER"]) / "once"
    if job["number"] == 4 or (job["number"] == 2 and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job["number"] == 6:
        while True:
            time.sleep(60)
    return fast(job, report)


def references(task: str) -> dict[str, float]:
    """Stands for the classifiers that are trained beside a search."""
    return {f"constant on {task}": 0.1}


def talkative_references(task: str) -> dict[str, float]:
    """Warns more than a pipe holds."""
    print("warning: " + 2**20 * "x", file=sys.stderr, flush=True)
    return references(task)


def no_references(task: str) -> dict[str, float]:
    raise ValueError(f"nothing known of {task}")


def deaf(job: Job, report: Report) -> dict[str, Any]:
    """Does not let itself be interrupted, from the moment on that it has written the file `deaf` to TOY_FOLDER."""
    while True:
        try:
            (Path(os.environ["TOY_FOLDER"]) / "deaf").touch()
            time.sleep(60)
        except KeyboardInterrupt:
            continue


def mortal(job: Job, report: Report) -> dict[str, Any]:
    """Kills its process, or the node it runs on, in its second epoch, where TOY_LOSSES holds a file `17-worker` or
    `17-node` and this is trial 17 or a later one; the first to do so deletes it."""
    losses = os.environ.get("TOY_LOSSES")

    def dying(epoch: dict[str, Any]) -> bool | None:
        for file in Path(losses).iterdir() if losses and epoch["epoch"] == 2 else ():
            number, _, loss = file.name.partition("-")
            if loss not in ("worker", "node") or job["number"] < int(number):
                continue
            try:
                file.unlink()
            except FileNotFoundError:
                continue  # another trial dies of it
            os.kill(os.getppid() if loss == "node" else os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return report(epoch)

    return fast(job, dying)


def visible(job: Job, report: Report) -> dict[str, Any]:
    """Says as its device which GPUs it sees, and leaves in TOY_FOLDER on which node and when it ran."""
    import ray

    start = time.time()
    result = fast(job, report)
    seen = [ray.get_runtime_context().get_node_id(), start, time.time()]
    Path(os.environ["TOY_FOLDER"], f"visible-{job['number']}").write_text(json.dumps(seen))
    return {**result, "device": f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}"}


def given(job: Job, report: Report) -> dict[str, Any]:
    """A real training that must find its data in the process, as views of memory that is not its own."""
    from metamixer import tasks
    from metamixer.tasks import task as room
    from metamixer.training.evaluate import evaluate

    arrays = room._arrays[tasks.get(job["task"]["name"])]
    if arrays.x_train.flags.owndata or arrays.x_train.flags.writeable:
        raise ValueError("the data is this process's own")
    return evaluate(job, report)


def leaving(job: Job, report: Report) -> dict[str, Any]:
    sys.exit("enough")


def listed_references(task: str) -> Any:
    return [0.1]


def leaving_references(task: str) -> dict[str, float]:
    sys.exit(0)


def slow_references(task: str) -> dict[str, float]:
    time.sleep(600)
    return references(task)
