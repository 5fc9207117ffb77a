"""The table `[data]` of a study: which images, how they are split, and how they are brought to one size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

KINDS = {
    "folder": "folder:DIR, one subfolder of images a class",
    "parquet": "parquet:FILE, a folder of Parquet files, or a pattern",
    "arrays": "arrays:FILE.npz, arrays of images and classes",
    "hub": "hub:DIR, a data set that the datasets library saved to disk",
    "torchvision": "torchvision:NAME:DIR, a data set of torchvision that lies on disk",
    "python": "python:package.module:function, a function of yours",
}
MAX_IMAGES = 10**10
MAX_MEGABYTES = 1e9
# What follows the kind in these is a path.
_PATHS = {"folder", "parquet", "arrays", "hub"}


def _address(value: Any) -> Any:
    if isinstance(value, str):
        kind, colon, rest = value.partition(":")
        if not colon or kind not in KINDS or not rest:
            raise ValueError(f"it is no source of images; write {'; or '.join(KINDS.values())}")
    return value


def _share_or_address(value: Any) -> Any:
    if isinstance(value, str):
        return _address(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError("it is a share of train, 0 <= share < 1, or a source of images")
    return float(value)


def _size(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Address = Annotated[str, BeforeValidator(_address)]
ShareOrAddress = Annotated[float | str, BeforeValidator(_share_or_address)]
Pixels = Annotated[int, Field(ge=1, le=4096)]


class DataSection(BaseModel):
    """Images, from which channels, classes and the arrays of a task follow."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    train: Annotated[Address, Field(description="the images to learn from: " + "; ".join(KINDS.values()))]
    validation: Annotated[
        ShareOrAddress, Field(description="a share of train, split off by class and seed; or a source of its own")
    ] = 0.1
    test: Annotated[
        ShareOrAddress,
        Field(description="the same, for the final networks alone: a search never sees it; 0 for none"),
    ] = 0.1
    size: Annotated[
        tuple[Pixels, Pixels] | None,
        BeforeValidator(_size, json_schema_input_type=int | tuple[int, int] | None),
        Field(description="height and width, or one number; left out: all images have one size already"),
    ] = None
    resize: Annotated[
        Literal["crop", "pad", "stretch"],
        Field(description="crop: the middle, as large as fits; pad: the whole image on black; stretch: the whole"),
    ] = "crop"
    channels: Annotated[
        Literal[1, 3] | None, Field(description="1 for grey, 3 for colour; left out: 1 if every image is grey")
    ] = None
    images: Annotated[
        int | None,
        Field(ge=2, le=MAX_IMAGES, description="take this many of train, drawn by class and seed; left out: all"),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of the splits")] = 0
    broken: Annotated[
        Literal["refuse", "skip"], Field(description="what a search does about images that cannot be read")
    ] = "refuse"
    image_column: Annotated[str | None, Field(min_length=1, description="of Parquet and Hub data sets")] = None
    label_column: Annotated[str | None, Field(min_length=1, description="of Parquet and Hub data sets")] = None
    memory_limit: Annotated[
        float | None,
        Field(
            gt=0,
            le=MAX_MEGABYTES,
            description="megabytes of one part that training holds in memory; of more it reads batches",
        ),
    ] = None
    name: Annotated[str | None, Field(min_length=1, description="in reports; left out: made from train")] = None
    cache: Annotated[
        str | None, Field(min_length=1, description="folder for decoded images; left out: .data beside the runs")
    ] = None

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> DataSection:
        shares = [share for share in (self.validation, self.test) if isinstance(share, float)]
        if sum(shares) >= 1:
            raise ValueError("validation and test take all of train")
        return self

    @field_validator("validation")
    @classmethod
    def _something_to_compare_on(cls, value: float | str) -> float | str:
        if value == 0:
            raise ValueError("a search compares architectures on it; give it a share, or a source")
        return value

    @property
    def title(self) -> str:
        """The name of the data set: given, or the first telling part of train's path from its end."""
        if self.name:
            return self.name
        kind, _, rest = self.train.partition(":")
        if kind == "torchvision":
            return rest.partition(":")[0]
        if kind == "python":
            return rest.rpartition(":")[2]
        parts = [part.split(".")[0] for part in reversed(Path(rest).parts)]
        plain = ("train", "training", "data", "dataset", "images", "")
        return next((part for part in parts if part not in plain and part.strip("*/")), "images")


def rooted(document: dict[str, Any], folder: Path, keys: tuple[str, ...] = ()) -> dict[str, Any]:
    """The table with its paths made absolute: relative ones begin at `folder`. Only these `keys`, if any are given."""

    def absolute(path: str) -> str:
        return str((folder / Path(path).expanduser()).absolute())

    found = dict(document)
    for key in keys or ("train", "validation", "test", "cache"):
        value = found.get(key)
        if not isinstance(value, str):
            continue
        kind, _, rest = value.partition(":")
        if key == "cache":
            found[key] = absolute(value)
        elif kind in _PATHS and rest:
            found[key] = f"{kind}:{absolute(rest)}"
        elif kind == "torchvision" and rest:
            name, _, where = rest.partition(":")
            found[key] = f"{kind}:{name}:{absolute(where or 'data')}"
    return found
