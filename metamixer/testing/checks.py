"""What must hold for every sentence, as plain functions that raise AssertionError.

Each check takes a `Subject`: one sentence for one input type, with its network built once. No check changes it.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from statistics import median
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from metamixer.compile import build
from metamixer.cost import cost
from metamixer.language import Sentence, check, parse
from metamixer.language.canonical import canonical as canonical_form
from metamixer.language.checking.protocols import Discontinuous
from metamixer.language.checking.types import Given, inputs
from metamixer.reference import reference
from metamixer.words.sharing import inside

# Largest deviation from the float64 reference, as max|y - ref| / max|ref|.
FLOAT32, FLOAT64 = 1e-5, 1e-10
# A gradient below this, relative to the largest of the network, is compared with a difference quotient.
DEAD = 1e-11
BATCH = 3
EXPORTED = (1, 5)  # sizes of a batch on which an exported program is compared with the module


class Subject:
    """A sentence under test, for one input type.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of the input.
        grid: length of each axis of the input.
        seed: decides weights and input.
        context: types of further inputs.

    Attributes:
        sentence, channels, grid: as given, parsed.
        x: input, (BATCH, *grid, channels), float32.
        further: further inputs by name.
        out: the declared output type.
        shape: shape of the module's output, by the declared type.
    """

    def __init__(
        self, sentence: Sentence | str, channels: int, grid: tuple[int, ...], seed: int = 0, context: Given = None
    ) -> None:
        self.sentence = parse(sentence) if isinstance(sentence, str) else sentence
        self.channels, self.grid, self.seed = channels, tuple(grid), seed
        self.context = inputs(context)
        self.out = check(self.sentence, channels, self.grid, self.context)
        tokens = (self.out.tokens,) if self.out.extra else self.out.grid
        self.shape = (BATCH, *tokens, self.out.channels)
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(BATCH, *self.grid, channels, generator=generator)
        self.further = {
            name: torch.randn(BATCH, *field.grid, field.channels, generator=generator)
            for name, field in self.context.items()
        }

    def given(self, dtype: torch.dtype, rows: slice = slice(None)) -> tuple[Any, ...]:
        """The arguments of the network: its input, and further ones if there are any."""
        further = {name: value[rows].to(dtype) for name, value in self.further.items()}
        return (self.x[rows].to(dtype), further) if further else (self.x[rows].to(dtype),)

    @property
    def selects(self) -> bool:
        """Whether a comparison of numbers decides what the network keeps."""
        return any(
            isinstance(part.word, Discontinuous)
            for part in inside(self.sentence.typed(self.channels, self.grid, self.context))
        )

    @cached_property
    def net(self) -> nn.Module:
        """The network in float32 and evaluation mode, with parameters and buffers away from their neutral values."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = build(self.sentence, self.channels, self.grid, context=self.context)
            randomise(net)
        return net.eval()

    @cached_property
    def double(self) -> nn.Module:
        """The same network in float64."""
        return deepcopy(self.net).double()

    @cached_property
    def expected(self) -> Tensor:
        """What the dense reference computes for ``x`` with the weights of ``net``."""
        return reference(self.net, *self.given(torch.float64))  # type: ignore[arg-type]

    @cached_property
    def made(self) -> Tensor:
        """What the network computes for ``x`` in float64, with a graph behind it."""
        made: Tensor = self.double(*self.given(torch.float64))
        return made

    def __repr__(self) -> str:
        return f"{self.sentence} for {'x'.join(map(str, self.grid))} tokens x {self.channels}"


def randomise(net: nn.Module) -> None:
    """Moves tensors that start constant (biases, scales, running statistics) off their start, so that each matters.

    A buffer that starts positive (a variance) is drawn from .5 .. 1.5.
    """
    kept = net.state_dict()
    with torch.no_grad():
        for parameter in net.parameters():
            if _constant(parameter):
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        for name, buffer in net.named_buffers():
            if name in kept and buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + 0.5 if bool((buffer > 0).all()) else torch.randn_like(buffer))


def fill_by_shape(net: nn.Module) -> None:
    """Fills every tensor that a word owns by a rule of its name and its shape alone.

    Two networks that own the same tensors in another order then compute with the same numbers.
    """
    with torch.no_grad():
        for weights in net.store.weights.values():  # type: ignore[union-attr,operator]
            buffers = {name for name, _ in weights.named_buffers()}
            for name, tensor in weights.state_dict().items():
                generator = torch.Generator().manual_seed(crc32(f"{name} {tuple(tensor.shape)}".encode()))
                drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
                if name in buffers:
                    drawn = drawn.sigmoid() + 0.5 if bool((tensor > 0).all()) else drawn
                elif tensor.numel() > 1 and _constant(tensor):
                    drawn = tensor + 0.3 * drawn
                else:
                    drawn = drawn / max(1, tensor[0].numel()) ** 0.5
                tensor.copy_(drawn)


def _constant(tensor: Tensor) -> bool:
    return bool((tensor == tensor.flatten()[0]).all())


def deviation(y: Tensor, expected: Tensor) -> float:
    """max|y - expected| / max|expected|."""
    y, expected = y.detach().double(), expected.detach().double()
    largest = float(expected.abs().max())
    return float((y - expected).abs().max()) / (largest or 1.0)


def round_trip(subject: Subject) -> None:
    """Printing a sentence and reading it again gives the same sentence."""
    printed = str(subject.sentence)
    again = parse(printed)
    if again != subject.sentence or str(again) != printed:
        raise AssertionError(f"printed as {printed}, which reads back as {again}")


def shapes(subject: Subject) -> None:
    """The module's output has the declared type."""
    if tuple(subject.made.shape) != subject.shape:
        raise AssertionError(f"{subject}: declared {subject.out}, the module returns {tuple(subject.made.shape)}")


def counts(subject: Subject) -> None:
    """Parameters and MACs are those of the module; MACs exactly, by torch's counter on ``meta``, for one input.

    The counted form, where it is another one, computes the same.
    """
    counted = cost(subject.sentence, subject.channels, subject.grid, context=subject.context)
    params = sum(parameter.numel() for parameter in subject.net.parameters())
    if counted.params != params:
        raise AssertionError(f"{subject}: cost says {counted.params} parameters, the module has {params}")
    other = build(subject.sentence, subject.channels, subject.grid, counted=True, context=subject.context).eval()
    kinds = [[(type(part), getattr(part, "counted", False)) for part in net.modules()] for net in (other, subject.net)]
    if kinds[0] != kinds[1]:
        other = other.double()
        for path, weights in subject.double.store.weights.items():  # type: ignore[union-attr,operator]
            other.store.weights[path].load_state_dict(weights.state_dict())  # type: ignore[union-attr,index]
        with torch.no_grad():
            found = deviation(other(*subject.given(torch.float64)), subject.expected)
        if not found <= FLOAT64:
            raise AssertionError(f"{subject}: the counted form deviates from the reference by {found:.1e}")
    meta = other.float().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(*tree_map(lambda value: value.to("meta"), subject.given(torch.float32, slice(1))))
    if counter.get_total_flops() != 2 * counted.macs:
        raise AssertionError(f"{subject}: cost says {2 * counted.macs} FLOPs, torch counts {counter.get_total_flops()}")
    rows = counted.breakdown
    if sum(row.macs for row in rows) != counted.macs or sum(row.params for row in rows) != counted.params:
        raise AssertionError(f"{subject}: the rows of the breakdown do not add up to the whole")


def counts_at_full_size(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> None:
    """Type, parameters and MACs of a network of any size: exact, on ``meta``, where nothing is computed."""
    counted, out = cost(sentence, channels, grid, context=context), check(sentence, channels, grid, context)
    with torch.device("meta"):
        net = build(sentence, channels, grid, counted=True, context=context).eval()
        given = [torch.empty(1, *grid, channels)]
        further = {name: torch.empty(1, *field.grid, field.channels) for name, field in inputs(context).items()}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = net(*given, *([further] if further else []))
    found = (tuple(y.shape), sum(p.numel() for p in net.parameters()), counter.get_total_flops())
    tokens = (out.tokens,) if out.extra else out.grid
    wanted = ((1, *tokens, out.channels), counted.params, counted.flops)
    if found != wanted:
        raise AssertionError(f"{sentence}: shape, parameters, FLOPs are said to be {wanted}, found {found}")


def agrees(subject: Subject) -> None:
    """The module computes what the dense reference computes, in float32 and in float64.

    Where words select, candidates that are nearly equal may change places in float32: there most rows of the batch are
    to agree, in float64 all.
    """
    with torch.no_grad():
        single = subject.net(*subject.given(torch.float32))
    for y, bound in ((single, FLOAT32), (subject.made, FLOAT64)):
        found = deviation(y, subject.expected)
        if bound == FLOAT32 and subject.selects:
            found = median(deviation(*rows) for rows in zip(y, subject.expected, strict=True))
        if not found <= bound:  # also when it is not a number
            raise AssertionError(f"{subject}: {y.dtype} deviates from the reference by {found:.1e} > {bound:.0e}")


def differentiable(subject: Subject) -> None:
    """Every parameter has a finite gradient; one that is nearly zero is what the reference feels of the parameter."""
    names, parameters = zip(*subject.double.named_parameters(), strict=True) if _owns(subject.double) else ((), ())
    if not parameters:
        return
    made = subject.made
    toward = torch.randn(made.shape, generator=torch.Generator().manual_seed(1), dtype=made.dtype)
    gradients = torch.autograd.grad((made * toward).sum(), parameters, allow_unused=True, retain_graph=True)
    largest = max((float(g.abs().max()) for g in gradients if g is not None), default=0.0)
    silent: dict[str, Tensor | None] = {}
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is not None and not bool(gradient.isfinite().all()):
            raise AssertionError(f"{subject}: the gradient of {name} is not finite")
        if gradient is None or float(gradient.abs().max()) <= DEAD * largest:
            silent[name] = gradient
    if not silent:
        return
    expected, steps = 0.0, {}
    size = 1e-7 if subject.selects else 1e-4  # so small that no choice changes
    for name, felt in silent.items():
        steps[name] = torch.randn_like(subject.double.get_parameter(name)) * size
        expected += 0.0 if felt is None else float((felt * steps[name]).sum())
    change = (_moved(subject, steps, 1.0) - _moved(subject, steps, -1.0)) / 2
    found, scale = float((change * toward).sum()), float((subject.expected * toward).abs().sum())
    if not abs(found - expected) <= FLOAT64 * scale + 1e-3 * abs(expected):
        raise AssertionError(
            f"{subject}: gradients of {', '.join(silent)} promise a change of {expected:.1e}, found {found:.1e}"
        )


def _moved(subject: Subject, steps: dict[str, Tensor], times: float) -> Tensor:
    """The reference's result with some parameters moved."""
    net = deepcopy(subject.double)
    with torch.no_grad():
        for name, step in steps.items():
            net.get_parameter(name).add_(step, alpha=times)
    return reference(net, *subject.given(torch.float64))  # type: ignore[arg-type]


def _owns(net: nn.Module) -> bool:
    return next(net.parameters(), None) is not None


def trains(subject: Subject) -> None:
    """One step in training mode, in float32: finite result and gradients."""
    net = deepcopy(subject.net).train()
    y = net(*subject.given(torch.float32))
    if _owns(net):
        y.square().mean().backward()
    tensors = [y, *(p.grad for p in net.parameters() if p.grad is not None)]
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise AssertionError(f"{subject}: not finite in training mode")


def batch_independent(subject: Subject) -> None:
    """In evaluation mode a row of a batch gives what it gives alone."""
    with torch.no_grad():
        for i in range(BATCH):
            alone = subject.double(*subject.given(torch.float64, slice(i, i + 1)))
            if deviation(alone, subject.made[i : i + 1]) > FLOAT64:
                raise AssertionError(f"{subject}: row {i} of a batch differs from the same row alone")


def exports(subject: Subject) -> None:
    """torch.export takes the module with a batch of any size, and the exported program agrees with it at 1 and 5."""
    given = subject.given(torch.float32)
    batch = {0: torch.export.Dim("batch")}
    shapes: dict[str, Any] = {"x": batch}
    if len(given) > 1:
        shapes["context"] = dict.fromkeys(given[1], batch)
    try:
        exported = torch.export.export(subject.net, given, dynamic_shapes=shapes).module()
    except torch._dynamo.exc.UserError as error:
        if "specialized" not in str(error):
            raise
        raise AssertionError(f"{subject}: its program holds for a batch of {BATCH} only; len() of a tensor?") from error
    for rows in EXPORTED:
        many = tree_map(lambda value, rows=rows: value.repeat(-(-rows // BATCH), *[1] * (value.ndim - 1))[:rows], given)
        with torch.no_grad():
            found = deviation(exported(*many), subject.net(*many))
        if not found <= FLOAT32:
            raise AssertionError(f"{subject}: the exported program deviates by {found:.1e} on a batch of {rows}")


def canonical(subject: Subject) -> None:
    """The canonical form is a sentence, its own canonical form, and the same function at the same cost and key."""
    channels, grid, context = subject.channels, subject.grid, subject.context
    form = canonical_form(subject.sentence, channels, grid, context)
    if parse(str(form)) != form:
        raise AssertionError(f"the canonical form of {subject}, {form}, does not read back")
    if (again := canonical_form(form, channels, grid, context)) != form:
        raise AssertionError(f"the canonical form of {subject} is not at rest: {form}, then {again}")
    if form.key(channels, grid, context) != subject.sentence.key(channels, grid, context):
        raise AssertionError(f"{subject} and its canonical form {form} differ in key")
    before, after = (cost(one, channels, grid, context=context) for one in (subject.sentence, form))
    same = (before.macs, before.params) == (after.macs, after.params)
    if not same or check(form, channels, grid, context) != subject.out:
        raise AssertionError(f"{subject} and its canonical form {form} differ in cost or type")
    nets = [build(one, channels, grid, context=context).double().eval() for one in (subject.sentence, form)]
    for net in nets:
        fill_by_shape(net)
    with torch.no_grad():
        y, expected = (net(*subject.given(torch.float64)) for net in nets)
    if not deviation(y, expected) <= FLOAT64:
        raise AssertionError(f"{subject} and its canonical form {form} are different functions")


EVERY = (round_trip, shapes, counts, agrees, differentiable, batch_independent, canonical)


def check_sentence(
    sentence: Sentence | str, channels: int, grid: tuple[int, ...], seed: int = 0, context: Given = None
) -> Subject:
    """All checks of this module but the slow ones (`exports`, `trains`), on one network.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of the input.
        grid: length of each axis of the input.
        seed: decides weights and input.
        context: types of further inputs.

    Raises:
        AssertionError: one of them does not hold; the message names sentence, input and what differs.
        LanguageError: the sentence does not fit the input.
    """
    subject = Subject(sentence, channels, grid, seed, context)
    for one in EVERY:
        one(subject)
    return subject
