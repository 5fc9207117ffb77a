"""The sentences of the documents: they parse and check, and the tables that speak of them are right.

A block marked `sentence` has a sentence a line. A table whose first column is called *sentence* says
what holds for each by its other columns; `INPUT` is what both are checked at unless a comment above the block, or a
column *input*, says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from pages import Block, blocks, code, code_spans, documents, given, read, tables, tracked
from torch.utils.flop_counter import FlopCounterMode

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.language.canonical import canonical
from metamixer.testing.checks import deviation, randomise

INPUT = "64 8x8"
EXAMPLES = [block for document in documents() for block in blocks(document) if block.language == "sentence"]
TABLES = [
    pytest.param(rows, id=f"{document}:{line}")
    for document in documents()
    for line, rows in tables(document)
    if rows and next(iter(rows[0])) == "sentence"
]
Input = tuple[int, tuple[int, ...]]


def lines(block: Block) -> list[str]:
    """The sentences of a block, without the remark that may stand behind each."""
    return [re.split(r"\s{2,}# ", line)[0].strip() for line in block.text.splitlines() if line.strip()]


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_examples_are_sentences_that_fit_their_input(block):
    channels, grid = given(block.given.removeprefix("input: ") or INPUT)
    assert lines(block)
    for line in lines(block):
        sentence = mm.parse(line)
        assert mm.parse(str(sentence)) == sentence
        if not sentence.node.choices:
            assert mm.check(sentence, channels, grid).channels > 0


def network(sentence: str, at: Input) -> torch.nn.Module:
    torch.manual_seed(0)
    net = mm.build(sentence, *at).double()
    randomise(net)
    return net.eval()


def same_function(one: str, other: str, at: Input) -> bool:
    """Whether both compute the same once the weights of one, in reading order, are those of the other."""
    first, second = network(one, at), network(other, at)
    given_, taken = (
        [state for state in (weights.state_dict() for weights in net.store.weights.values()) if state]
        for net in (first, second)
    )
    if [[value.shape for value in state.values()] for state in given_] != [
        [value.shape for value in state.values()] for state in taken
    ]:
        return False
    for source, target in zip(given_, taken, strict=True):
        for value, place in zip(source.values(), target.values(), strict=True):
            place.copy_(value)
    x = torch.randn(2, *at[1], at[0], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return deviation(first(x), second(x)) < 1e-10


def key(sentence: str, at: Input) -> str:
    return mm.parse(sentence).key(*at)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def torch_counts(sentence: str, at: Input, counted: bool) -> int:
    """MACs of one input by torch's own counter, on `meta`."""
    with FlopCounterMode(display=False) as counter:
        mm.build(sentence, *at, counted=counted).to("meta")(torch.empty(1, *at[1], at[0], device="meta"))
    return counter.get_total_flops() // 2


def costs(field: str, order: str = "planned") -> Callable[[str, str, Input], None]:
    def compare(sentence: str, cell: str, at: Input) -> None:
        found = getattr(mm.cost(sentence, *at, order=order), field)
        assert number(cell) == found, f"{found:,}"

    return compare


def equal_trees(sentence: str, cell: str, at: Input) -> None:
    assert mm.parse(sentence) == mm.parse(code(cell))


def canonical_form(sentence: str, cell: str, at: Input) -> None:
    form = canonical(mm.parse(sentence), *at)
    assert str(form) == code(cell)
    assert key(code(cell), at) == key(sentence, at)


def same_key(sentence: str, cell: str, at: Input) -> None:
    assert key(sentence, at) == key(code(cell), at), str(canonical(mm.parse(sentence), *at))


def other_key(sentence: str, cell: str, at: Input) -> None:
    assert key(sentence, at) != key(code(cell), at)


def function_but_not_key(sentence: str, cell: str, at: Input) -> None:
    assert same_function(sentence, code(cell), at)
    other_key(sentence, cell, at)


def refused(sentence: str, cell: str, at: Input) -> None:
    with pytest.raises(LanguageError) as told:
        mm.check(sentence, *at)
    assert cell in str(told.value).splitlines()[0]


def output(sentence: str, cell: str, at: Input) -> None:
    assert cell == str(mm.check(sentence, *at))


def by_torch(sentence: str, cell: str, at: Input) -> None:
    assert number(cell) == torch_counts(sentence, at, counted=True)


def order_of(sentence: str, cell: str, at: Input) -> None:
    from metamixer.compile.plan import plan
    from metamixer.words.sharing import inside

    reads = [part for part in inside(mm.parse(sentence).typed(*at)) if part.text.startswith("dot")]
    assert cell in {plan(part).order for part in reads}, {plan(part).order for part in reads}


# What a column says of the sentence of its row.
COLUMNS: dict[str, Callable[[str, str, Input], None]] = {
    "is read as": equal_trees,
    "canonical form": canonical_form,
    "has the key of": same_key,
    "other key": other_key,
    "same function, other key": function_but_not_key,
    "refused because": refused,
    "result": output,
    "MACs": costs("macs"),
    "MACs, dense order": costs("macs", "dense"),
    "MACs, executed": costs("macs", "executed"),
    "MACs by torch on meta": by_torch,
    "parameters": costs("params"),
    "elementwise": costs("elementwise"),
    "activations": costs("activations"),
    "planned order": order_of,
}


@pytest.mark.parametrize("rows", TABLES)
def test_what_tables_say_of_sentences_is_so(rows):
    first = next(iter(rows[0]))
    for row in rows:
        sentence, at = code(row[first]), given(row.get("input", INPUT).strip("`") or INPUT)
        claims = [(name, cell) for name, cell in row.items() if name in COLUMNS and cell]
        if not any(name == "refused because" for name, _ in claims) and not mm.parse(sentence).node.choices:
            mm.check(sentence, *at)
        for name, cell in claims:
            COLUMNS[name](sentence, cell, at)


def test_tables_claim_something():
    names = {name for table in TABLES for name in table.values[0][0]}
    assert set(COLUMNS) <= names  # every kind of claim is made somewhere, so each of the checks above runs


# Inline code of the pages about the language is a sentence wherever it looks like one: two phrases in sequence, or a
# word that is applied. `..` stands for what is left out.
LOOKS = re.compile(r">>|(?<!\w)->|^\w+\([^)]*\)@|^let |^tie |^pick ")


BINDS = re.compile(r"\b(let|tie|pick) ")


@pytest.mark.parametrize("document", ["docs/language.md", "docs/algebra.md", "docs/counting.md", "README.md"])
def test_code_that_looks_like_a_sentence_is_one(document):
    wrong_on_purpose = {
        code(row["sentence"]) for _, rows in tables(document) for row in rows if "refused because" in row
    }
    looked = 0
    for line, span in code_spans(document):
        if not LOOKS.search(span) or ".." in span or span in wrong_on_purpose or span.startswith(("-", ">")):
            continue
        looked += 1
        for side in (span,) if BINDS.search(span) else span.split(" = "):  # `a = b` states a law
            try:
                mm.parse(side)
            except LanguageError as error:
                pytest.fail(f"{document}:{line}: {error}")
    assert looked


def test_the_grammar_in_the_documents_is_the_grammar():
    (shown,) = [block.text for block in blocks("docs/language.md") if block.language == "lark"]
    (path,) = [path for path in tracked() if path.endswith("grammar.lark")]
    rule = re.compile(r"^\??([a-z]+):", re.M)
    assert shown.strip() in read(path)
    assert rule.findall(shown) == rule.findall(read(path))
