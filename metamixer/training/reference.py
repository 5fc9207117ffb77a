"""Accuracies of classical classifiers on a task's arrays: what a network is worth must show beside them."""

from __future__ import annotations

from functools import cache

from metamixer.tasks import get

_FOLDS = 3


@cache
def reference_accuracies(task_name: str) -> dict[str, float]:
    """Validation accuracy of a logistic regression, k nearest neighbours and a support-vector machine (RBF kernel).

    Each sees the inputs as flat vectors of pixels. Its settings are chosen on a small grid by cross-validation inside
    the training part, in which images made of one original stay together; then it is fitted to all of that part.
    About ten seconds for 4,000 images of 8x8 on one core; once per process.

    Raises:
        TaskError: Unknown task.
    """
    from sklearn.base import ClassifierMixin
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    arrays = get(task_name).data()
    x, x_val = (part.reshape(len(part), -1) for part in (arrays.x_train, arrays.x_val))
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
        search.fit(x, arrays.y_train, groups=arrays.groups)
        accuracies[name] = float(search.score(x_val, arrays.y_val))
    return accuracies
