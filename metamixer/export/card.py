"""The model card: README.md in the format of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metamixer.export.lowering import Outcome

LIMITS = "Trained for images of this size and of this data, normalised as in training."


def card(title: str, config: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """The card's text: front matter, the sentence, where it comes from, costs, files, how to run it."""
    shape, cost, origin = config["input"], config["cost"], config["origin"]
    images = ", ".join(map(str, (shape["channels"], *shape["grid"])))
    written = {outcome.file for outcome in outcomes if not outcome.problem}
    lines = [
        "---",
        "library_name: metamixer" if "model.py" not in written else "library_name: pytorch",
        "pipeline_tag: image-classification",
        "tags: [metamixer, neural-architecture-search]",
        "---",
        "",
        f"# {title}",
        "",
        "```",
        config["sentence"],
        "```",
        "",
        f"Takes images (B, {images}), float32.",
        "",
        f"- multiply-accumulates for one image: {cost['macs']:,}",
        f"- parameters: {cost['params']:,}",
    ]
    if not config["trained"]:
        lines += ["", "**The weights are not trained**: they are random numbers. Train before use."]
    if origin:
        lines += ["", "## Where it comes from", "", *(f"- {key}: {_said(value)}" for key, value in origin.items())]
    lines += ["", "## Limits", "", LIMITS if config["trained"] else "No statement about accuracy can be made."]
    if "test_accuracy" in origin:
        lines += [
            "",
            "The test accuracy is the mean over seeds on images that nothing was chosen by; the weights are the first",
            "seed's. The validation accuracy is that of images that a search chose by.",
        ]
    elif "validation_accuracy" in origin:
        lines += ["", "The accuracy is that of validation images that a search chose by: expect less on others."]
    lines += ["", "## Files", "", "| file | largest relative error | batch |", "|---|---|---|"]
    for outcome in outcomes:
        error = outcome.problem and f"not written: {outcome.problem}"
        error = error or ("" if outcome.error is None else f"{outcome.error:.1e}")
        lines.append(f"| {outcome.file} | {error.replace('|', '/')} | {outcome.batch} |")
    lines += ["", "## How to run it", "", *_run(written, images)]
    return "\n".join(lines) + "\n"


def _run(written: set[str], images: str) -> list[str]:
    load = ["```python", "import torch"]
    if "model.py" in written:
        return [
            *load,
            "from safetensors.torch import load_file",
            "",
            "from model import Model",
            "",
            "model = Model()",
            'model.load_state_dict(load_file("model.safetensors"))',
            f"print(model.eval()(torch.zeros(1, {images})).shape)",
            "```",
        ]
    if "model.pt2" in written:
        return [
            *load,
            "",
            'model = torch.export.load("model.pt2").module()',
            f"print(model(torch.zeros(1, {images})).shape)",
            "```",
        ]
    return ["Build the sentence of `config.json` with `metamixer.build` and load `model.safetensors` into it."]


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)
