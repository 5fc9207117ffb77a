"""The catalogue's networks by timm's conventions: ``create_model``, ``list_models``, and timm's own registry.

    import metamixer as mm

    net = mm.create_model("ffnet_1", num_classes=10, drop_path_rate=0.1)  # takes images (B, 3, 256, 256)
    mm.list_models("conv*")

With timm installed, ``metamixer.catalog.models.register()`` makes the entries known to it, each with the prefix
``metamixer_``: ``timm.create_model("metamixer_ffnet_1", num_classes=10)``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from metamixer.catalog.entries import Entry, entries, get
from metamixer.errors import UserError

if TYPE_CHECKING:
    from metamixer.compile.model import Model

PREFIX = "metamixer_"
default_cfgs: dict[str, Mapping[str, Any]] = {}  # where timm looks for what it keeps about a model


def list_models(filter: str = "") -> list[str]:
    """Names of the catalogue's classifiers by the alphabet, all or those that match a pattern such as ``conv*``."""
    return sorted(name for name in classifiers() if not filter or fnmatchcase(name, filter))


def classifiers() -> Mapping[str, Entry]:
    """Entries with classes; the others make an image, a map or a forecast."""
    return {name: entry for name, entry in entries().items() if entry.classes}


def create_model(
    name: str,
    pretrained: bool = False,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | tuple[int, ...] | None = None,
    drop_path_rate: float = 0.0,
) -> Model:
    """A network of the catalogue as a classifier of images ``(B, in_chans, *grid)`` -> ``(B, num_classes)``.

    Args:
        name: of the entry, with or without the prefix that timm's registry shows.
        pretrained: there are no weights to load; only False is possible.
        num_classes: None for the entry's; 0 for no classifier.
        in_chans: None for the entry's; the sentence is read anew for another number.
        img_size: length of every axis, or of each; None for the entry's.
        drop_path_rate: stochastic depth while training, at the last residual (0 at the first, linear between).

    Raises:
        UserError: weights are asked for, or a number makes no sense.
        LanguageError: no entry has this name, or its sentence does not fit the images.
    """
    from metamixer.compile.model import Model

    if pretrained:
        raise UserError(f"no weights of {name} are shipped", None, "leave out pretrained=True and train it")
    entry = get(name.removeprefix(PREFIX))
    if not entry.classes:
        raise UserError(
            f"{entry.name} is no classifier: {entry.published.get('result', 'its sentence makes the result')}",
            None,
            "build its sentence: entry = mm.catalog.get(name); mm.build(entry.sentence, entry.channels, entry.grid)",
        )
    num_classes = entry.classes if num_classes is None else num_classes
    in_chans = entry.channels if in_chans is None else in_chans
    if num_classes < 0 or in_chans < 1:
        raise UserError(
            f"num_classes={num_classes}, in_chans={in_chans}", None, "0 or more classes, 1 or more channels"
        )
    grid = entry.grid
    if img_size is not None:
        grid = (img_size,) * len(grid) if isinstance(img_size, int) else tuple(img_size)
    cfg = configuration(entry) | {"num_classes": num_classes, "input_size": (in_chans, *grid)}
    return Model(entry.sentence, in_chans, grid, num_classes, drop_path_rate, cfg)


def configuration(entry: Entry) -> dict[str, Any]:
    """What timm keeps about a model; there is no address of weights."""
    return {
        "architecture": entry.name,
        "url": "",
        "num_classes": entry.classes,
        "input_size": (entry.channels, *entry.grid),
        "pool_size": None,
        "interpolation": "bicubic",
        "classifier": "classifier",
        "paper_name": entry.source,
    }


def register() -> list[str]:
    """Makes every classifier known to timm as ``metamixer_<name>``; returns those names. A second call changes nothing.

    Raises:
        UserError: timm is not installed, or cannot be imported.
    """
    try:
        from timm.models import is_model, register_model
    except (ImportError, RuntimeError) as error:
        raise UserError(f"timm cannot be imported: {error}", None, "pip install 'metamixer[vision]'") from error
    names = []
    for name, entry in classifiers().items():
        names.append(PREFIX + name)
        if not is_model(names[-1]):
            default_cfgs[names[-1]] = {
                key: value for key, value in configuration(entry).items() if key not in ("architecture", "paper_name")
            }
            point = entry_point(name)
            setattr(sys.modules[__name__], point.__name__, point)
            register_model(point)
    return names


def entry_point(name: str) -> Callable[..., Model]:
    """The function that timm calls for an entry; what it hands over about weights is not needed here."""

    def create(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **arguments: Any,
    ) -> Model:
        return create_model(name, pretrained=pretrained, **arguments)

    create.__name__ = create.__qualname__ = PREFIX + name
    create.__doc__ = f"{entries()[name].family}: {entries()[name].source}."
    return create
