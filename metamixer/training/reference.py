"""Accuracies of classical classifiers on a task's arrays: what a network is worth must show beside them."""

from __future__ import annotations

from functools import cache

import numpy as np

from metamixer.tasks import get

_FOLDS = 3
# A support-vector machine compares images pairwise: images squared times pixels of this many take ten seconds.
_WORK = 4000**2 * 64


@cache
def reference_accuracies(task_name: str) -> dict[str, float]:
    """Validation accuracy of a logistic regression, k nearest neighbours and a support-vector machine (RBF kernel).

    Each sees the inputs as flat vectors of pixels. Its settings are chosen on a small grid by cross-validation inside
    the training part, in which images made of one original stay together; then it is fitted to all of that part, or to
    as many images, drawn with a fixed seed, as take seconds: 4,000 of 8x8, 570 of 32x32 in colour. Names say of how
    many, where it is not all. About ten seconds on one core; once per process.

    Raises:
        TaskError: Unknown task.
    """
    from sklearn.base import ClassifierMixin
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    arrays = get(task_name).data()
    kept = _sample(arrays.y_train, int((_WORK / arrays.x_train[0].size) ** 0.5))
    x, x_val = (part.reshape(len(part), -1) for part in (arrays.x_train[kept], arrays.x_val))
    y, groups = arrays.y_train[kept], None if arrays.groups is None else arrays.groups[kept]
    of = "" if len(kept) == len(arrays.y_train) else f" ({len(kept):,} of {len(arrays.y_train):,} images)"
    folds = StratifiedKFold if arrays.groups is None else StratifiedGroupKFold
    # Kernel widths relative to scikit-learn's own guess, 1 / (pixels * variance).
    width = 1 / (x.shape[1] * float(x.var()))
    candidates: dict[str, tuple[ClassifierMixin, dict[str, list[float]]]] = {
        "logistic regression": (LogisticRegression(max_iter=300), {"C": [0.01, 0.1, 1.0]}),
        "k nearest neighbours": (KNeighborsClassifier(weights="distance"), {"n_neighbors": [1, 3, 5, 9]}),
        "RBF-SVM": (SVC(), {"C": [3.0, 10.0], "gamma": [0.5 * width, width, 2 * width, 4 * width]}),
    }
    accuracies = {}
    for name, (classifier, grid) in candidates.items():
        search = GridSearchCV(classifier, grid, cv=folds(_FOLDS, shuffle=True, random_state=0))
        search.fit(x, y, groups=groups)
        accuracies[name + of] = float(search.score(x_val, arrays.y_val))
    return accuracies


def _sample(classes: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most so many images, by rising number, of every class its share."""
    if len(classes) <= most:
        return np.arange(len(classes))
    order = np.random.default_rng(0).permutation(len(classes))
    by_class = order[np.argsort(classes[order], kind="stable")]
    return np.sort(by_class[np.linspace(0, len(classes) - 1, most).astype(int)])
