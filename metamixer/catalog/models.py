"""The catalogue's networks by timm's conventions: ``create_model``, ``list_models``, and timm's own registry.

    import metamixer as mm

    net = mm.create_model("ffnet_1", num_classes=10, drop_path_rate=0.1)  # takes images (B, 3, 256, 256)
    mm.list_models("conv*")

With timm installed, ``metamixer.catalog.models.register()`` makes the entries known to it, each with the prefix
``metamixer_``: ``timm.create_model("metamixer_ffnet_1", num_classes=10)``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral
from typing import TYPE_CHECKING, Any

from metamixer.catalog.entries import Entry, entries, get
from metamixer.errors import UserError

if TYPE_CHECKING:
    from metamixer.compile.features import Features
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
    features_only: bool = False,
    out_indices: Sequence[int] | int | None = None,
    global_pool: str | None = None,
) -> Model | Features:
    """A network of the catalogue as a classifier of images ``(B, in_chans, *grid)`` -> ``(B, num_classes)``.

    Images may be smaller than those that the network was designed for, as long as every stage has a token left: weights
    that meet nothing but padding there are kept.

    Args:
        name: of the entry, with or without the prefix that timm's registry shows; or an address of trained weights,
            such as ``runs/digits#41``, as ``metamixer.load`` takes it.
        pretrained: of an entry there are no weights to load, so only False is possible; an address always brings its.
        num_classes: None for the entry's; 0 for no classifier.
        in_chans: None for the entry's; the sentence is read anew for another number.
        img_size: length of every axis, or of each; None for the entry's.
        drop_path_rate: stochastic depth while training, at the last residual (0 at the first, linear between).
        features_only: give the network without read-out, images to a list of maps ``(B, C, *grid')``, one for each
            resolution, with ``feature_info`` as timm has it.
        out_indices: of ``features_only``: which resolutions, the finest is 0.
        global_pool: the read-out that the sentence has, ``avg`` or ``token``; None for whatever it is.

    Raises:
        UserError: weights are asked for, or a number makes no sense.
        LanguageError: no entry has this name, or its sentence does not fit the images.
    """
    from metamixer.compile.features import Features
    from metamixer.compile.model import Model, whole
    from metamixer.loading import is_address, load

    if is_address(name):
        if img_size is not None:
            raise UserError("img_size belongs to networks without weights", name, "leave it out: weights say their own")
        trained = load(name, num_classes, in_chans, drop_path_rate, features_only, out_indices)
        if global_pool is not None and isinstance(trained, Model) and global_pool != trained.global_pool:
            trained.reset_classifier(trained.num_classes, global_pool)
        return trained
    if pretrained:
        raise UserError(f"no weights of {name} are shipped", None, "leave out pretrained=True and train it")
    entry = get(name.removeprefix(PREFIX))
    if not entry.classes:
        raise UserError(
            f"{entry.name} is no classifier: {entry.published.get('result', 'its sentence makes the result')}",
            None,
            "build its sentence: entry = mm.catalog.get(name); mm.build(entry.sentence, entry.channels, entry.grid)",
        )
    num_classes = whole("num_classes", entry.classes if num_classes is None else num_classes, 0)
    in_chans = whole("in_chans", entry.channels if in_chans is None else in_chans, 1)
    grid = entry.grid if img_size is None else lengths(img_size, entry)
    if out_indices is not None and not features_only:
        raise UserError("out_indices belongs to features_only", None, "write features_only=True too")
    cfg = configuration(entry) | {"num_classes": num_classes, "input_size": (in_chans, *grid)}
    model = Model(entry.sentence, in_chans, grid, num_classes, drop_path_rate, cfg)
    if global_pool is not None:
        model.reset_classifier(num_classes, global_pool)
    return Features(model, out_indices) if features_only else model


def lengths(img_size: Any, entry: Entry) -> tuple[int, ...]:
    """The grid that an image size means for an entry: one length for every axis, or one for each.

    Raises:
        UserError: it is no such thing.
    """
    axes = len(entry.grid)
    given = (img_size,) * axes if isinstance(img_size, Integral) else img_size
    whole = isinstance(given, (tuple, list)) and all(isinstance(n, Integral) and not isinstance(n, bool) for n in given)
    if not whole or len(given) != axes or min(given) < 1:
        usual = entry.grid[0] if axes == 1 else entry.grid
        raise UserError(
            f"img_size={img_size!r} is no size of an image for {entry.name}",
            None,
            f"write whole numbers: one length, or one for each of {axes} axes, such as img_size={usual}",
        )
    return tuple(int(n) for n in given)


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


def entry_point(name: str) -> Callable[..., Model | Features]:
    """The function that timm calls for an entry; what it hands over about weights is not needed here."""

    def create(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **arguments: Any,
    ) -> Model | Features:
        return create_model(name, pretrained=pretrained, **arguments)

    create.__name__ = create.__qualname__ = PREFIX + name
    create.__doc__ = f"{entries()[name].family}: {entries()[name].source}."
    return create
