"""A sentence as a classifier of images, with the habits of timm's models, and stochastic depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

from torch import Tensor, nn

from metamixer.compile.inputs import check_tensor, shape_of
from metamixer.compile.modules import Network, Part
from metamixer.errors import UserError
from metamixer.language import Sentence
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Shortcut
from metamixer.language.syntax.nodes import word


class Model(nn.Module):
    """Classifier of images ``(B, in_chans, *grid)`` from a sentence without its head.

    The last stage without weights that makes one token of all (``mean``, ``first``; at the latest the mean that ends
    the sentence) begins the read-out: what stands before it makes the features.

    Attributes:
        network: the sentence up to one token; ``classifier``: what follows, the identity for no classes.
        num_classes, in_chans: as given.
        num_features: width of ``forward_features``.
        head_hidden_size: width in front of the classifier.
        default_cfg, pretrained_cfg: what timm keeps about a model, under its two names.
    """

    classifier: nn.Module

    def __init__(
        self,
        sentence: Sentence,
        in_chans: int,
        grid: tuple[int, ...],
        num_classes: int,
        drop_path_rate: float = 0.0,
        default_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        t = sentence.then(word("mean")).typed(in_chans, grid, lenient=True)
        self.network = Network(t)
        ends = [
            i
            for i, (kid, part) in enumerate(zip(t.kids, self._stages(), strict=True))
            if kid.x.tokens > 1 and kid.out.tokens == 1 and not any(True for _ in part.parameters())
        ]
        self.readout = ends[-1] if ends else len(t.kids) - 1
        self.in_chans = in_chans
        self.images = (in_chans, *t.x.grid)
        self.global_pool = (
            "token" if t.kids[self.readout].word.positional else "avg"
        )  # one of all tokens, or their mean
        self.num_features: int = t.kids[self.readout].x.channels
        self.head_hidden_size: int = t.out.channels
        self.default_cfg = self.pretrained_cfg = dict(default_cfg or {})
        self.reset_classifier(num_classes)
        set_drop_path(self.network, drop_path_rate)

    def _stages(self) -> list[nn.Module]:
        body = self.network.body
        assert isinstance(body, Part)
        return list(body.parts)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images ``(B, in_chans, *grid)`` to features ``(B, *grid', C)``, or ``(B, tokens, C)`` with a class token.

        Raises:
            InputError: the images have another shape than the network was built for.
        """
        return self.forward_stages(x, self.readout)[-1]

    def forward_stages(self, x: Tensor, count: int) -> list[Tensor]:
        """What each of the first stages makes of images, channels last; the images themselves where there are none."""
        check_tensor(
            x, self.images, "the batch of images", "create_model(.., img_size=(height, width)) builds for others"
        )
        x = x.movedim(1, -1)
        made = []
        for stage in self._stages()[:count]:
            x = stage(x, {})
            made.append(x)
        return made or [x]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features to logits ``(B, num_classes)``, or to the input of the classifier ``(B, head_hidden_size)``."""
        check_tensor(x, shape_of(self.network.typed.kids[self.readout].x), "the batch of features")
        for stage in self._stages()[self.readout :]:
            x = stage(x, {})
        x = x.flatten(1)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The last linear layer, or the identity."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier of the network's type and device; none for 0 classes.

        Args:
            num_classes: number of classes.
            global_pool: how timm names the read-out: ``avg`` or ``token``. It belongs to the sentence, so only the one
                that it has (or None) is possible.

        Raises:
            UserError: another read-out, or a number of classes that is none.
        """
        if global_pool is not None and global_pool != self.global_pool:
            raise UserError(
                f"global_pool={global_pool!r}: the sentence of this network ends in {self.global_pool!r}",
                None,
                f"leave it out, or take {self.global_pool!r}; forward_features(x) gives what is not pooled",
            )
        self.num_classes = num_classes = whole("num_classes", num_classes, 0)
        like = next((p for p in self.parameters() if p.is_floating_point()), None)
        if num_classes:
            self.classifier = nn.Linear(self.head_hidden_size, num_classes)
            if like is not None:
                self.classifier.to(like)
            nn.init.trunc_normal_(self.classifier.weight, std=0.02)
            nn.init.zeros_(self.classifier.bias)
        else:
            self.classifier = nn.Identity()


def whole(name: str, value: Any, least: int) -> int:
    """An argument that is a whole number.

    Raises:
        UserError: it is none, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise UserError(f"{name}={value!r} is no whole number from {least} on", None, f"write {name}={max(least, 3)}")
    return int(value)


def set_drop_path(net: nn.Module, rate: Any) -> None:
    """Stochastic depth (arXiv 1603.09382): while training, each sample leaves out the branches of residuals.

    The rate grows linearly from 0 at the first residual of the main path to ``rate`` at its last; what is kept is
    divided by the chance of being kept. Residuals inside branches, and inside views that cut the samples, stay whole.

    Raises:
        UserError: the rate is no probability below 1.
    """
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
        raise UserError(f"drop_path_rate={rate!r} is no rate", None, "take a number from 0 to below 1, such as 0.1")
    found = list(residuals(net))
    for i, part in enumerate(found):
        part.drop = {kid: float(rate) * i / max(len(found) - 1, 1) for kid in branches(part.t)}


def residuals(net: nn.Module) -> Iterator[Part]:
    """Residuals of the main path, in order."""
    for part in net.children():
        if isinstance(part, Part) and branches(part.t):
            yield part
        elif not isinstance(part, Part) or part.t.word.form in ("chain", "repeat", "frame", "let", "tie", "tied"):
            yield from residuals(part)


def branches(t: Typed) -> tuple[int, ...]:
    """Which sub-phrases of an occurrence are added to x, or to x under a factor per channel."""
    if t.word.form == "residual":
        return tuple(range(len(t.kids)))
    if t.word.form != "sum":
        return ()
    around = [sign == "+" and _is_skip(kid) for sign, kid in zip(t.signs, t.kids, strict=True)]
    return tuple(i for i, skip in enumerate(around) if not skip) if any(around) else ()


def _is_skip(t: Typed) -> bool:
    return isinstance(t.word, Shortcut) and all(_is_skip(kid) for kid in t.kids)
