"""The style `compact`: what is written is read back as it was promised, by every coding."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import muat_exp
from muat_exp.config.groups import Config, from_dict
from muat_exp.errors import ConfigurationError, DatasetError, PromptError
from muat_exp.kernels.compact import Blocks, Spelling, write_compact
from muat_exp.kernels.text import Sections
from muat_exp.prompts.codings import CODINGS, DECIMALS, SPAN, Coding
from muat_exp.prompts.compact import rounded_weights
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.prompts.tokens import load_counter
from muat_exp.subjects.architecture import Architecture, split_neurons, split_parameters
from muat_exp.subjects.shapes import SHAPES, hidden_widths

PATTERNS = Config().patterns.build()
METHODS = [("mean", 1), ("pca", 3), ("std", 1)]
COLUMNS = sum(columns for _, columns in METHODS)
SHAPE = Architecture(5, (4, 3), "relu")


def renderer(coding):
    return PromptRenderer(PATTERNS, METHODS, 10, "compact", 0.25, coding)


@st.composite
def codings(draw):
    name = draw(st.sampled_from(list(CODINGS)))
    decimals = 3 if name == "digits" else draw(st.integers(*DECIMALS))
    return Coding(name, decimals, draw(st.booleans()))


@st.composite
def networks(draw):
    """Any shape, with weights of all sizes, of a few, of one, or none but zeros."""
    shape = draw(st.sampled_from(SHAPES))
    widths = hidden_widths(shape, draw(st.integers(1, 5)), draw(st.integers(4, 12)))
    architecture = Architecture(draw(st.integers(4, 9)), widths, "gelu")
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    drawn = generator.normal(size=architecture.parameters)
    kind = draw(st.sampled_from(["usual", "tiny", "huge", "mixed", "ternary", "zeros"]))
    scales: dict[str, float | np.ndarray] = {
        "usual": 1.0,
        "tiny": 1e-30,
        "huge": 1e10,
        "mixed": 10.0 ** generator.integers(-8, 9, drawn.shape),
        "ternary": 0.37 / np.maximum(np.abs(drawn), 1e-9) * (np.abs(drawn) > 0.5),
        "zeros": 0.0,
    }
    return architecture, (drawn * scales[kind]).astype(np.float32)


def drawn_signature(architecture):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(architecture.neurons, COLUMNS))
    return (values * [1, 1, 1, 1, 1e4]).astype(np.float32)


def flat(weights):
    return np.concatenate([array.ravel() for array in weights.values()])


def promised(coding, architecture, parameters):
    """What a reader has, by Python's own rounding of one number after another."""
    read = []
    for weight, bias in split_parameters(parameters, architecture.layers):
        values = [*weight.ravel().tolist(), *bias.tolist()]
        largest = max(map(abs, values))
        for value in values:
            if coding.name != "digits":
                read.append(round(value, coding.decimals))
            elif largest:
                read.append(round(value * (SPAN / largest)) / SPAN * largest)
            else:
                read.append(0.0)
    return np.array(read, np.float64).astype(np.float32)


@given(codings(), networks())
def test_what_is_read_is_what_was_written_rounded_as_promised(coding, network):
    architecture, parameters = network
    signature = drawn_signature(architecture)
    text = renderer(coding).classification(architecture, parameters, signature)
    parsed = muat_exp.parse_prompt(text + "palindrome")
    assert (parsed.architecture, parsed.vocab_size, parsed.dropout) == (architecture, 10, 0.25)
    assert np.array_equal(parsed.parameters, promised(coding, architecture, parameters))
    assert np.array_equal(parsed.parameters, rounded_weights(coding, architecture, parameters))
    assert np.array_equal(flat(muat_exp.parse_weights(text)), parsed.parameters)
    if not coding.signature:
        assert parsed.signature == {}
        return
    for layer, rows in zip(
        architecture.layers, split_neurons(signature, architecture.layers), strict=True
    ):
        found = parsed.signature[layer.module]
        assert list(found) == [name for name, _ in METHODS]
        assert found["pca"].shape == (layer.fan_out, 3)
        for name, own in zip(found, np.split(rows, [1, 4], axis=1), strict=True):
            bound = np.abs(own).max() / SPAN if coding.name == "digits" else 1 / coding.unit
            off = np.abs(found[name].reshape(own.shape) - own).max()
            assert off <= bound * 0.5001 + np.abs(own).max() * 1e-7


@given(codings(), networks())
def test_what_was_read_is_written_as_it_stood(coding, network):
    architecture, parameters = network
    writer = renderer(coding)
    read = flat(muat_exp.parse_weights(writer.weights(architecture, parameters)))
    again = flat(muat_exp.parse_weights(writer.weights(architecture, read)))
    assert np.array_equal(again, read)


@given(codings(), networks())
def test_an_answer_comes_back_from_any_text(coding, network):
    architecture, parameters = network
    writer = renderer(coding)
    answer = writer.weights(architecture, parameters)
    expected = rounded_weights(coding, architecture, parameters)
    asked = writer.modification(
        architecture, -2 * parameters, drawn_signature(architecture), PATTERNS[:1]
    )
    for text in (answer, f"Here {{they}} are:\n{answer}\nDone.\n", asked + answer):
        assert np.array_equal(flat(muat_exp.parse_weights(text)), expected)
    parsed = muat_exp.parse_prompt(asked + answer)
    assert np.array_equal(parsed.parameters, rounded_weights(coding, architecture, -2 * parameters))


def plain_lines(coding, rows):
    """Lines of numbers by Python's own formatting; not by digits."""
    if coding.name == "decimal":
        return [" ".join(f"{value:z.{coding.decimals}f}" for value in row) for row in rows]
    return [" ".join(str(round(value * coding.unit)) for value in row) for row in rows]


@pytest.mark.parametrize("name", ["decimal", "integer"])
@pytest.mark.parametrize("decimals", range(DECIMALS[0], DECIMALS[1] + 1))
def test_lines_are_spelled_as_python_spells_them(name, decimals):
    coding = Coding(name, decimals, signature=False)
    generator = np.random.default_rng(decimals)
    scales = 10.0 ** generator.integers(-2, 4, SHAPE.parameters)
    parameters = (generator.normal(size=SHAPE.parameters) * scales).astype(np.float32)
    text = renderer(coding).weights(SHAPE, parameters)
    expected = [coding.line, ""]
    for layer, (weight, bias) in zip(
        SHAPE.layers, split_parameters(parameters, SHAPE.layers), strict=True
    ):
        rows = np.column_stack([weight, bias]).tolist()
        expected += [f"### {layer.module}", *plain_lines(coding, rows)]
    assert text.split("\n") == expected


def test_digits_are_three_per_number_and_end_in_the_largest():
    parameters = np.linspace(-1, 0.5, SHAPE.parameters, dtype=np.float32)
    lines = renderer(Coding("digits")).weights(SHAPE, parameters).split("\n")
    assert lines[:5] == ["Coding: digits", "", "### 0", "largest: 1", lines[4]]
    numbers = re.findall("...", lines[4])
    assert len(lines[4]) == 3 * (SHAPE.features + 1)
    assert numbers[:2] == ["001", f"{500 + round(499 * float(parameters[1])):03d}"]


@pytest.mark.parametrize(
    ("coding", "before", "after", "message"),
    [
        ("integer", "Coding: integer", "Coded: integer", "no line 'Coding: ...'"),
        ("integer", "### 0\n", "### 0\n1.5 ", "line 13: '1.5 "),
        ("decimal", "### 0\n", "### 0\n1e3 ", "is no line of numbers"),
        ("decimal", "### 0\n", "### 0\n1 ", "equally long"),
        ("decimal", "### 2", "### 4", "no heading of a further layer"),
        ("decimal", "### 0\n", "", "network.0.weight is missing"),
        ("digits", "### 0\n", "### 0\n12", "must begin with the line 'largest: ...'"),
        ("digits", "largest: ", "largest: 1, ", "must begin with the line 'largest: ...'"),
        ("digits", "largest: ", "largest: nan", "must begin with the line 'largest: ...'"),
        ("digits", "largest: ", "largest: 1e99\nlargest: ", "three digits for each number"),
        ("integer", "Layer: 4, 3", "Layer: 4, 4", "need"),
        ("integer", "Methods: mean 1", "Methods: mean 2", "the methods need (4, 6)"),
        ("digits", "Methods: mean 1", "Methods: mean 99999", "but the methods have 100003"),
        ("integer", "Methods: mean 1", "Methods: pca 1", "must begin with the line 'Methods"),
        ("integer", "Methods:", "Means:", "must begin with the line 'Methods: ...'"),
    ],
)
def test_a_fault_is_named_with_its_line(coding, before, after, message):
    parameters = np.linspace(-1, 1, SHAPE.parameters, dtype=np.float32)
    writer = renderer(Coding(coding, 3))
    text = writer.classification(SHAPE, parameters, drawn_signature(SHAPE))
    with pytest.raises(PromptError, match=r"^line \d+: ") as caught:
        muat_exp.parse_prompt(text.replace(before, after, 1))
    assert message in str(caught.value)


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.data())
def test_mutated_prompts_are_read_or_refused(coding, data):
    parameters = np.linspace(-1, 1, SHAPE.parameters, dtype=np.float32)
    writer = renderer(Coding(coding, 3))
    text = writer.classification(SHAPE, parameters, drawn_signature(SHAPE))
    text = text[: text.index("## Task")]
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 20))
    mutated = text[:at] + data.draw(st.text(max_size=20)) + text[at + length :]
    for parse in (muat_exp.parse_prompt, muat_exp.parse_weights):
        refusal = ""
        try:
            parse(mutated)
        except PromptError as error:
            refusal = str(error)
        assert refusal.startswith("line ") or not refusal


@pytest.mark.parametrize("coding", ["decimal", "integer"])
@pytest.mark.parametrize("value", [1.1e12, 3e38, np.inf, np.nan])
def test_numbers_that_are_too_large_are_refused_but_by_digits(coding, value):
    parameters = np.full(SHAPE.parameters, value, np.float32)
    with pytest.raises(DatasetError, match=f"prompts.coding={coding} writes such as are below"):
        renderer(Coding(coding, 1)).weights(SHAPE, parameters)
    if np.isfinite(value):
        text = renderer(Coding("digits")).weights(SHAPE, parameters)
        assert np.array_equal(flat(muat_exp.parse_weights(text)), parameters)


@pytest.mark.parametrize(
    ("dataset", "prompts", "message"),
    [
        ({}, {"coding": "integer"}, "prompts.coding=integer needs dataset.style=compact"),
        ({}, {"decimals": 2, "signature": False}, "prompts.decimals=2 prompts.signature=false"),
        ({"style": "compact"}, {"decimals": 0}, "must be between 1 and 6"),
        ({"style": "compact"}, {"decimals": "few"}, "'auto' or a number of decimals"),
        ({"style": "compact"}, {"coding": "hex"}, "decimal, integer, digits"),
        (
            {"style": "compact"},
            {"coding": "digits", "decimals": 5},
            "three digits for each number and no decimals",
        ),
    ],
)
def test_a_form_that_no_parser_could_undo_is_refused(dataset, prompts, message):
    with pytest.raises(ConfigurationError) as caught:
        from_dict({"dataset": dataset, "prompts": prompts})
    assert message in str(caught.value)


def test_a_coding_without_a_kernel_is_an_error():
    nothing = np.empty(0, np.uint8)
    none = np.zeros(1, np.int64)
    spelling = Spelling(len(CODINGS), 3, 1000, 1000)
    with pytest.raises(ValueError, match="no kernel for this coding"):
        write_compact(
            np.zeros(SHAPE.parameters, np.float32),
            SHAPE.table,
            Blocks(np.frombuffer(b"\n\n\n", np.uint8), 1, np.ones((3, 1), np.float32), none),
            np.empty((0, 0), np.float32),
            Blocks(nothing, 1, np.empty((0, 0), np.float32), none),
            Sections(nothing, nothing, nothing),
            spelling,
        )


@pytest.mark.parametrize(("coding", "tokens"), [("integer", 2918), ("digits", 1603)])
def test_a_default_network_has_few_tokens(coding, tokens):
    """Of weights alone; the rest of a prompt adds 247 with the default patterns."""
    shape = Architecture(5, (12,) * 9, "relu")
    parameters = np.random.default_rng(0).normal(scale=0.5, size=shape.parameters)
    text = renderer(Coding(coding, 3)).weights(shape, parameters.astype(np.float32))
    counter = load_counter("llama3")
    assert counter is not None
    assert counter.count(text) == pytest.approx(tokens * shape.parameters / 1426, rel=0.06)
