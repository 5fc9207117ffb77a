"""Splitting train off into parts: by class, by a seed, the same on every machine and in every version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metamixer.errors import StudyError


def split(
    labels: np.ndarray, names: Sequence[str], shares: Sequence[float], seed: int, images: int | None = None
) -> tuple[np.ndarray, ...]:
    """Row numbers of what stays and of what each share takes, each rising.

    Of every class a share takes as many as rounding says: at least one where the class has an image for it, and never
    all, so that no class is lost to training. Two shares are drawn one after the other from one permutation of the
    class, so no row is in two parts.

    Args:
        labels: Class numbers, (rows,).
        names: Of the classes.
        shares: In 0..1, together below 1.
        seed: Of the permutations.
        images: Rows that are used at all, drawn by class as well; None for all.

    Raises:
        StudyError: A class is too small for the shares, or there are more classes than images to be used.
    """
    # RandomState, not Generator: only its stream is promised never to change (NumPy NEP 19).
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels, return_counts=True)
    used = counts if images is None or images >= len(labels) else _apportioned(counts, images)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for number, count in zip(classes, used, strict=True):
        rows = random.permutation(np.flatnonzero(labels == number))[:count]
        taken = [max(round(share * count), 1) if share else 0 for share in shares]
        if sum(taken) >= count:
            raise StudyError(
                f"class {names[number]} has {count} images, too few to give some to each part",
                f"[data] shares of train: {', '.join(f'{share:g}' for share in shares)}",
                "give sources of their own, or add images to the class",
            )
        for part, some in zip(parts, np.split(rows, np.cumsum([count - sum(taken), *taken])[:-1]), strict=True):
            part.append(some)
    return tuple(np.sort(np.concatenate(part)).astype(np.int64) for part in parts)


def _apportioned(counts: np.ndarray, total: int) -> np.ndarray:
    """`total` shared out in proportion to `counts`, at least one each: the largest remainders round up."""
    if total < len(counts):
        raise StudyError(f"{total} images are fewer than the {len(counts)} classes", "[data] images", "take more")
    exact = counts * (total / counts.sum())
    found = np.maximum(np.floor(exact), 1).astype(np.int64)
    order = np.argsort(found - exact, kind="stable")
    for index in np.resize(order, max(total - int(found.sum()), 0)):
        found[index] += 1
    while found.sum() > total:
        found[np.argmax(found)] -= 1
    return np.minimum(found, counts)
