"""Laws of the algebra (docs/algebra.md#operators-as-reads) and identities of vision mixers, as numbers.

Two sentences are one function once the weights of one are put into the other: unchanged and in reading order, or as
the law says.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.testing.checks import deviation, randomise

Held = list[dict[str, Tensor]]
ATT = "att(lin,lin,lin)@h(2)"
MIXER = "res(norm >> (lin(8) >> gelu >> lin(D))@T) >> res(norm >> ffn(2))"


def held(net: torch.nn.Module) -> Held:
    """Tensors of each word with weights, in reading order."""
    states = (weights.state_dict() for weights in net.store.weights.values())
    return [state for state in states if state]


def network(sentence: str, channels: int, grid: tuple[int, ...]) -> torch.nn.Module:
    torch.manual_seed(0)
    net = mm.build(sentence, channels, grid).double()
    randomise(net)
    return net.eval()


def compare(
    a: str, b: str, channels: int, grid: tuple[int, ...], law: Callable[[Held], Held] | None = None
) -> tuple[Tensor, Tensor]:
    """What both compute for one input, with the weights of ``a`` in ``b``; ``law`` says how they become those."""
    first, second = network(a, channels, grid), network(b, channels, grid)
    given, places = held(first), held(second)
    for place, values in zip(places, given if law is None else law(given), strict=True):
        assert place.keys() == values.keys()
        for name, value in values.items():
            assert place[name].shape == value.shape, name
            place[name].copy_(value)
    x = torch.randn(2, *grid, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return first(x), second(x)


def equal(*arguments) -> None:
    one, other = compare(*arguments)
    assert one.shape == other.shape
    assert deviation(one, other) < 1e-10


def different(*arguments) -> None:
    assert deviation(*compare(*arguments)) > 1e-3


# -- laws that change nothing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "grid"),
    [
        # a window as large as the grid, one group, one head, the view and back
        (f"{ATT}@win(4x6)", ATT, (4, 6)),
        ("dw(3)@win(HxW)", "dw(3)", (4, 6)),
        (f"({MIXER})@win(4)", MIXER, (4, 4)),
        ("dw(3)@grid(4)", "dw(3)", (4, 4)),
        ("att(lin,lin,lin)@h(1)", "att(lin,lin,lin)", (5,)),
        ("(lin >> gelu)@seg(1)", "lin >> gelu", (5,)),
        (f"({ATT})@T@T", ATT, (6,)),
        ("x@win(2)@grid(2) >> lin", "lin", (4, 4)),
        ("x@T@flat >> lin", "lin", (4,)),
        # normalisers
        ("(dot(lin,lin) -> softmax -> l1 -> mm(lin))@h(2)", ATT, (4, 4)),
        ("(dot(lin,lin) -> exp -> l1 -> mm(lin))@h(2)", ATT, (4, 4)),
        ("dot(lin,lin) -> id -> softmax -> mm(lin)", "att(lin,lin,lin)", (5,)),
        # views that permute tokens, around what treats tokens alike
        (f"({ATT})@roll(3)", ATT, (4, 6)),
        ("(lin >> norm >> gelu)@roll(1x2)", "lin >> norm >> gelu", (4, 6)),
        ("(lin >> norm >> gelu)@win(2)", "lin >> norm >> gelu", (4, 6)),
        ("(res(norm >> ffn(2)))@grid(2)", "res(norm >> ffn(2))", (4, 6)),
        ("(ffn(2))@win(2) >> lin@roll(1)", "ffn(2) >> lin", (4, 6)),
        ("(dw(3) >> gelu)@roll(2)@roll(2)@roll(0)", "(dw(3) >> gelu)@roll(4)", (4, 6)),
        # one relation family: neighbourhoods that are everything, windows, grids, rows and columns
        (f"{ATT}@N(5)", ATT, (5, 5)),
        (f"{ATT}@N(3,s=3)", f"{ATT}@win(3)", (6, 9)),
        (f"{ATT}@N(3,d=2)", f"{ATT}@grid(3)", (6, 6)),
        (f"{ATT}@N(1xW)", f"{ATT}@win(1xW)", (3, 5)),
        (f"{ATT}@N(Hx1)", f"{ATT}@win(Hx1)", (3, 5)),
        (f"{ATT}@N(9,mask)", ATT, (5, 5)),
        # a gate by hand and as a read
        ("had(lin,norm)", "lin * norm", (5,)),
        ("had(lin,had(norm,dw(3)))", "had(had(lin,norm),dw(3))", (5,)),
        ("lin -> mm(x)@N(1)@h(C)", "lin * x", (4, 3)),
        ("(lin(2) -> mm(x))@N(1)@h(2)", "lin(2) * x", (4, 3)),
        ("lin * (norm * gelu)", "lin * norm * gelu", (5,)),
        # abbreviations
        ("ffn(2)", "dot0(x,#2C,b=1) -> gelu -> mm(#2C,b=1)", (5,)),
        ("dw(3x1)", "conv(x,#3x1,b=1)", (5, 4)),
        ("res(norm) >> unit(lin)", "x + norm >> lin", (5,)),
        ("se(2)", "x * (pool(1) >> lin(C/2) >> relu >> lin(2C) >> sig)", (5, 4)),
        ("patch(2,6)", "fconv(2,6,s=2)", (4, 4)),
        ("tok(3) >> lin", "lin(3)@T >> lin", (5,)),
        ("(lin >> gelu)^1 >> dw(3)^0", "lin >> gelu", (5,)),
        # values computed once
        ("let k = norm in att(k,k,k)", "norm >> att(x,x,x)", (5,)),
        ("let k = lin in k * gelu", "lin * gelu", (5,)),
        ("let k = lin in (k >> norm)@win(2)", "lin >> norm", (4, 4)),
    ],
)
def test_equal_as_they_stand(a, b, grid):
    equal(a, b, 4, grid)


def swapped(given: Held) -> Held:
    return given[::-1]


@pytest.mark.parametrize(
    ("a", "b"),
    [("had(lin,norm)", "had(norm,lin)"), ("lin * norm", "norm * lin"), ("lin + dw(3)", "dw(3) + lin")],
)
def test_products_and_sums_commute(a, b):
    equal(a, b, 4, (4, 5), swapped)


def test_windows_and_grids_differ():
    for inner in (ATT, "dw(3)", "lin@T"):
        different(f"({inner})@win(2)", f"({inner})@grid(2)", 4, (4, 4))


def test_a_rolled_window_is_another_window():
    different(f"{ATT}@win(2)@roll(1)", f"{ATT}@win(2)", 4, (4, 4))


def test_one_softmax_over_two_memories_is_no_sum_of_reads():
    """`a & b` under one normaliser differs from two reads; without one they are equal."""
    both = "let q = lin, k = lin, p = dw(3) in dot0(q,k & p) -> {} mm(k & p)"
    parts = "let q = lin, k = lin, p = dw(3) in (dot0(q,k) -> {0} mm(k)) + (dot0(q,p) -> {0} mm(p))"
    different(both.format("softmax ->"), parts.format("softmax ->"), 4, (4, 4))
    equal(both.format(""), parts.format(""), 4, (4, 4))


@pytest.mark.parametrize("word", ["softmax", "l1"])
def test_a_read_of_the_token_itself_is_refused(word):
    """att(q,k,v)@N(1) = v: the weights of q and k would have no effect."""
    with pytest.raises(LanguageError, match="one slot"):
        mm.check(f"(dot(lin,lin) -> {word} -> mm(lin))@N(1)", 4, (4, 4))


# -- laws that compute weights -----------------------------------------------------------------------------------------


def test_two_projections_are_one():
    def law(given: Held) -> Held:
        (a, b) = given
        return [{"weight": b["weight"] @ a["weight"], "bias": b["weight"] @ a["bias"] + b["bias"]}]

    equal("lin(6) >> lin(5)", "lin(5)", 4, (3, 3), law)


def test_a_linear_memory_is_a_projection_of_its_rank():
    def law(given: Held) -> Held:
        keys, values = given
        weight = values["values0"].T @ keys["keys0"]
        assert torch.linalg.matrix_rank(weight) == 3
        return [{"weight": weight}]

    equal("dot0(x,#3) -> mm(#3)", "lin(b=0)", 5, (4,), law)


def test_attention_to_banks_is_a_perceptron_with_softmax():
    def law(given: Held) -> Held:
        return [{"weight": given[0]["keys0"]}, {"weight": given[1]["values0"].T}]

    equal("dot0(x,#6) -> softmax -> mm(#6)", "lin(6,b=0) >> softmax >> lin(4,b=0)", 4, (3, 3), law)
    for act in ("gelu", "relu", "sq"):
        equal(f"dot0(x,#6) -> {act} -> mm(#6)", f"lin(6,b=0) >> {act} >> lin(4,b=0)", 4, (3, 3), law)


def test_a_predicted_kernel_without_an_input_is_a_convolution():
    """Prediction -> mm on N(3) with a head a channel, the prediction constant: position scores."""

    def law(given: Held) -> Held:
        (kernel,) = given
        rows = kernel["kernel0"].reshape(-1)
        return [{"weight": rows.new_zeros(len(rows), 4), "bias": rows}]

    equal("conv(x,#3)", "(pool(1) >> lin(9C)) -> mm(x)@N(3,zero)@h(C)", 4, (5, 4), law)


def test_a_bias_of_positions_splits_off_a_linear_read():
    """dot -> rel -> mm(v) = (dot -> mm(v)) + a static read, when nothing normalises."""
    grid = (2, 3)
    here = torch.cartesian_prod(*(torch.arange(n) for n in grid))
    shift = here[None] - here[:, None] + torch.tensor(grid) - 1
    index = shift[..., 0] * (2 * grid[1] - 1) + shift[..., 1]

    def law(given: Held) -> Held:
        q, k, offsets = given
        return [q, k, {"weight": offsets["offsets"][0][index]}]

    equal("dot0(lin,lin) -> rel -> mm(x)", "(dot0(lin,lin) -> mm(x)) + lin(b=0)@T", 4, grid, law)


@pytest.mark.parametrize("norm", ["", "l1 -> "])
def test_gates_slide_through_linear_reads(norm):
    """An output gate by the query's side is one of queries, a value gate by the key's side one of keys."""
    read = f"let g = lin(1) in {{}} (dot0({{}} lin,{{}} lin) -> {norm}mm({{}} dw(3)))"
    if not norm:
        equal(read.format("g *", "", "", ""), read.format("", "g *", "", ""), 4, (4, 4))
        equal(read.format("", "", "", "g *"), read.format("", "", "g *", ""), 4, (4, 4))
    else:  # rows sum to one: what scales a row of scores is divided out again
        different(read.format("g *", "", "", ""), read.format("", "g *", "", ""), 4, (4, 4))
        different(read.format("", "", "", "g *"), read.format("", "", "g *", ""), 4, (4, 4))


def test_gated_heads_before_a_projection_are_a_weighted_sum_of_heads():
    """Mixture of heads, arXiv 2410.11842."""
    head = "lin(1) * (att(lin(2),lin(2),lin(2)) >> lin(4,b=0))"

    def law(given: Held) -> Held:
        gate, q, k, v, out = given
        found: Held = []
        for i in range(2):
            rows = slice(2 * i, 2 * i + 2)
            one = {name: value[i : i + 1] for name, value in gate.items()}
            parts = [{name: value[rows] for name, value in source.items()} for source in (q, k, v)]
            found += [one, *parts, {"weight": out["weight"][:, rows]}]
        return found

    equal("lin(2) * att(lin,lin,lin)@h(2) >> lin(b=0)", f"{head} + {head}", 4, (5,), law)


def test_a_read_of_the_token_itself_is_its_value():
    """att(q,k,v)@N(1) = v, said of the weights that a normaliser gives one slot: exp(s) / exp(s) = 1."""
    read = "(dot(lin,lin) -> exp -> mm(lin))@N(1)@h(2)"

    one, value = compare(read, "lin", 4, (3, 2), lambda given: given[-1:])
    again, weights = compare(read, read.replace("mm(lin)", "mm(x - x + 1.0)"), 4, (3, 2), lambda given: given[:-1])
    assert deviation(one, again) == 0
    assert deviation(one / weights, value) < 1e-10


def test_randformer_is_a_token_projection_with_frozen_rows_that_sum_to_one():
    """Arxiv 2210.13452: ResMLP's token projection, row-stochastic, without bias and without training."""

    def law(given: Held) -> Held:
        (frozen,) = given[0].values()
        return [{"weight": frozen.reshape(6, 6).softmax(-1)}]

    equal("#fix(N) -> softmax -> mm(x)", "lin(b=0)@T", 4, (2, 3), law)
    assert mm.cost("#fix(N) -> softmax -> mm(x)", 4, (2, 3)).params == 0


def test_decay_is_a_recurrence():
    """S <- e^-rate S + k v^T, o = q S: attention that fades, without scores (arXiv 2401.04658)."""
    net = network("(dot0(x,x) -> decay -> mm(x))@causal@h(2)", 4, (7,))
    x = torch.randn(1, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rates = 2.0 ** (-8 * (torch.arange(2, dtype=torch.float64) + 1) / 2)
    state, out = torch.zeros(2, 2, 2, dtype=torch.float64), []
    for token in x[0].unflatten(-1, (2, 2)):
        state = torch.exp(-rates)[:, None, None] * state + token[:, :, None] * token[:, None]
        out.append((token[:, None] @ state).flatten())
    with torch.no_grad():
        assert deviation(net(x), torch.stack(out)[None]) < 1e-10


def test_two_steps_of_a_hopfield_network_are_reads_within_a_read():
    """The query of the second is what the first retrieves; stored patterns are shared (arXiv 2008.02217)."""
    nested = "let k = lin in att(att(lin,k,k),k,lin)@h(2)"
    steps = "let k = lin, state = lin, once = att(state,k,k)@h(2) in att(once,k,lin)@h(2)"
    equal(nested, steps, 4, (5,))


def test_heads_outside_a_transposed_view_are_channel_groups():
    def law(given: Held) -> Held:
        return given

    equal("lin@T@h(2)", "lin@T@seg(2)", 4, (5,), law)
    assert mm.parse("lin@T@h(2)").key(4, (5,)) == mm.parse("lin@T@seg(2)").key(4, (5,))


# -- identities of vision mixers ---------------------------------------------------------------------------------------


def test_a_linear_token_perceptron_is_the_token_projection_of_resmlp():
    def law(given: Held) -> Held:
        first, second = given
        second["weight"].copy_(torch.eye(6))
        second["bias"].zero_()
        return [first]

    equal("(lin(N) >> id >> lin(D))@T".replace("N", "6"), "lin@T", 4, (2, 3), law)


def test_gmlp_starts_as_a_perceptron():
    """With a gate matrix of zeros and ones for its bias, half of the hidden units pass (arXiv 2105.08050)."""

    def law(given: Held) -> Held:
        norm, kept, _, _, gate, out = given
        gate["weight"].zero_()
        gate["bias"].fill_(1)
        return [norm, kept, out]

    gmlp = "res(norm >> ((lin(3C) >> gelu) * (lin(3C) >> gelu >> norm >> lin@T)) >> lin(D))"
    equal(gmlp, "res(norm >> lin(3C) >> gelu >> lin(D))", 4, (2, 3), law)


def test_a_constant_inner_network_makes_ninformer_a_projection():
    """Arxiv 2403.02411: the gate generated by the nested network; one token projection is the gate of gMLP."""

    def law(given: Held) -> Held:
        norm, value, gate, *rest = given
        gate["weight"].zero_()
        gate["bias"].fill_(1)
        return [norm, value, *rest]

    equal("res(norm >> lin * lin@T) >> res(norm >> ffn(2))", "res(norm >> lin) >> res(norm >> ffn(2))", 4, (6,), law)


def test_vip_branches():
    """One segment and one column is the projection of everything at once; transposing the image swaps the axes."""
    equal("lin(b=0)@flat@win(Hx1)@seg(1)", "lin(b=0)@flat", 3, (4, 1))
    equal("lin(b=0)@flat@win(1)", "lin(b=0)", 3, (4, 4))
    a, b = network("lin@flat@win(Hx1)@seg(2)", 4, (3, 3)), network("lin@flat@win(1xW)@seg(2)", 4, (3, 3))
    b.load_state_dict(a.state_dict())
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    assert deviation(a(x), b(x.transpose(1, 2)).transpose(1, 2)) < 1e-10


def test_poolformer_is_a_convolution_away_from_borders():
    def law(given: Held) -> Held:
        kernel = torch.full((4, 1, 3, 3), 1 / 9, dtype=torch.float64)
        kernel[:, :, 1, 1] -= 1
        return [{"kernel0": kernel}]

    one, other = compare("avg(3) - x", "conv(x,#3)", 4, (6, 7), law)
    assert deviation(one[:, 1:-1, 1:-1], other[:, 1:-1, 1:-1]) < 1e-10
    assert deviation(one, other) > 1e-3


def test_convnext_is_the_channel_mixer_of_ffnet_with_another_norm():
    """k3 = 7, r = 4 and a layer scale; a sum of one normed kernel is a convolution and a batch norm."""

    def law(given: Held) -> Held:
        rep, *rest = given
        norm = {name: rep[f"{name}0"] for name in ("scale", "shift", "mean", "variance")}
        return [{"kernel0": rep["kernel0"]}, norm, *rest]

    convnext = "res(dw(7,b=0) >> norm >> ffn(4) >> scale(1e-6))"
    equal("res(conv(x,#rep(7)) >> ffn(4) >> scale(1e-6))", convnext.replace("norm", "bn"), 4, (5, 5), law)


def test_kernels_of_one_pixel_mix_no_tokens():
    net = network("conv(lin,#1,b=1) -> gelu -> conv(#1,b=1)", 4, (4, 4))
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64)
    moved = x.clone()
    moved[0, 1, 2] += 1
    changed = (net(x) - net(moved)).abs().amax(-1)[0] > 1e-9
    assert changed.nonzero().tolist() == [[1, 2]]


def test_localvit_passes_the_class_token_through():
    text = "map(res(lin(2C,b=0) >> bn >> hswish >> dw(3,b=0) >> bn >> hswish >> se(2) >> lin(D,b=0) >> bn))"
    net, before = network(f"cls >> {text}", 4, (3, 3)), network("cls", 4, (3, 3))
    held(before)[0]["tokens"].copy_(held(net)[0]["tokens"])
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    y, start = net(x), before(x)
    assert torch.equal(y[:, 0], start[:, 0])
    assert deviation(y[:, 1:], start[:, 1:]) > 1e-2


def test_the_order_of_sublayers_is_part_of_the_system():
    """FF-Only mixes channels first."""
    channel, token = "res(norm >> ffn(2))", "res((norm >> ffn(2))@T)"

    def law(given: Held) -> Held:
        return given[3:] + given[:3]

    different(f"{channel} >> {token}", f"{token} >> {channel}", 4, (5,), law)


def test_a_tied_norm_is_one_norm():
    """NiNformer: the shared norm saves 2C parameters, and what moves it moves both sub-layers."""
    gate = "lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))"
    tied = f"tie n = norm in res(n >> {gate}) >> res(n >> ffn(2))"
    free = f"res(norm >> {gate}) >> res(norm >> ffn(2))"
    c = 4
    assert mm.cost(free, c, (6,)).params - mm.cost(tied, c, (6,)).params == 2 * c

    def law(given: Held) -> Held:
        return [*given[:-2], given[0], *given[-2:]]

    equal(tied, free, c, (6,), law)

    def moved(first: bool, second: bool) -> Callable[[Held], Held]:
        def change(given: Held) -> Held:
            doubled = {name: 2 * value for name, value in given[0].items()}
            norms = [doubled if one else given[0] for one in (first, second)]
            return [norms[0], *given[1:-2], norms[1], *given[-2:]]

        return change

    for one in ((True, False), (False, True)):
        different(tied, free, c, (6,), moved(*one))
