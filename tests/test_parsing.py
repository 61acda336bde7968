"""Prompts read back, and everything else refused with the line of the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import muat_exp
from muat_exp.config.groups import STYLES, Config
from muat_exp.errors import PromptError
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import Architecture
from muat_exp.subjects.shapes import SHAPES, hidden_widths

PATTERNS = Config().patterns.build()
METHODS = [("mean", 1), ("pca", 3)]


def renderer(style, dropout=0.0):
    return PromptRenderer(PATTERNS, METHODS, 10, style, dropout)


def uniform(depth, width, activation="relu"):
    return Architecture(5, hidden_widths("uniform", depth, width), activation)


def render(architecture, seed, style="separate"):
    generator = np.random.default_rng(seed)
    scale = 10.0 ** generator.integers(-3, 3)
    weights = generator.normal(scale=scale, size=architecture.parameters).astype(np.float32)
    signature = generator.normal(size=(architecture.neurons, 4)).astype(np.float32)
    text = renderer(style).classification(architecture, weights, signature)
    return text, weights, signature


@st.composite
def architectures(draw):
    shape = draw(st.sampled_from(SHAPES))
    widths = hidden_widths(shape, draw(st.integers(1, 6)), draw(st.integers(4, 12)))
    return Architecture(5, widths, draw(st.sampled_from(ACTIVATIONS)))


def as_written(values):
    """Numbers rounded as the texts round them."""
    return np.array([round(value, 6) for value in values.ravel().tolist()], np.float32)


def flat(weights):
    return np.concatenate([array.ravel() for array in weights.values()])


def flat_signature(parsed):
    return np.concatenate(
        [np.column_stack([layer["mean"], layer["pca"]]) for layer in parsed.signature.values()]
    )


@pytest.mark.parametrize("style", STYLES)
@given(architectures(), st.integers(0, 10**6))
def test_a_prompt_comes_back(style, architecture, seed):
    text, weights, signature = render(architecture, seed, style)
    for read in (text, text + "palindrome"):
        parsed = muat_exp.parse_prompt(read)
        assert parsed.architecture == architecture
        assert parsed.num_layers == len(parsed.widths)
        assert parsed.neurons_per_layer == parsed.widths[0]
        assert (parsed.sequence_length, parsed.vocab_size, parsed.dropout) == (5, 10, 0.0)
        assert np.array_equal(parsed.parameters, as_written(weights))
        assert np.array_equal(flat_signature(parsed).ravel(), as_written(signature))
    again = renderer(style).classification(
        parsed.architecture, parsed.parameters, flat_signature(parsed)
    )
    assert again == text
    assert np.array_equal(flat(muat_exp.parse_weights(text)), parsed.parameters)


@given(st.floats(0, 0.9))
def test_the_dropout_comes_back(dropout):
    shape = uniform(1, 4)
    zeros = np.zeros(shape.parameters, np.float32), np.zeros((shape.neurons, 4), np.float32)
    text = renderer("separate", dropout).classification(shape, *zeros)
    assert muat_exp.parse_prompt(text).dropout == dropout


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("## Model Weights", "## Model Waits", "no section '## Model Weights'"),
        ("Hidden Layers: 2", "Hidden Layers: 3", "need"),
        ("Hidden Layers: 2", "Hidden Layers: two", "line 3: the architecture can't be read"),
        ("Hidden Layers: 2", "Hidden Layers: 0", "line 2: 0 hidden layers can't have"),
        ("Hidden Layers: 2\n", "", "line 2: the architecture has no line 'Hidden Layers: ...'"),
        ("Layer: 5", "Layer: 5, 6", "need"),
        ("Layer: 5", "Layer: 5, 5, 5", "line 2: 2 hidden layers can't have"),
        ("vocabulary size 10", "indices", "line 2: the architecture can't be read"),
        ("Function: relu", "Function: sine", "line 5: the architecture can't be read"),
        ("Rate: 0.0", "Rate: 1.5", "line 6: the architecture can't be read"),
        ("Rate: 0.0", "Rate: 0.0\nDropout Rate: 0.1", "line 7: the architecture can't be read"),
        ("### 2", "### 3", "the signature has no layer 2"),
        ("### 2", "### 2\n### 3", "the network has no layer 3"),
        ("### 2", "### 0", "no heading of a further layer"),
        ("### 2", "### two", "no heading of a further layer"),
        ('"network.2.bias"', '"network.2.bios"', "network.2.bias is missing"),
        ("mean: [", "mean: [true, ", "must be a list of numbers"),
        ("mean: [", "mean: [0.5, ", "mean describes 6 neurons"),
        ("mean: [", "mean: [0.5], [", "not JSON"),
        ("pca: [", "pca: ", "not JSON"),
        ("pca: ", "mean: ", "no line of a signature"),
        ("## Activation Signature\n", "## Activation Signature\n???", "no line of a signature"),
    ],
)
def test_a_fault_is_named_with_its_line(before, after, message):
    text, _, _ = render(uniform(2, 5), 0)
    with pytest.raises(PromptError, match=r"^line \d+: ") as caught:
        muat_exp.parse_prompt(text.replace(before, after, 1))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("weight: [", "weight: ", "line 11: this is not JSON"),
        ("weight: [", "weight: [[1], ", "line 11: network.0.weight must be a list of equally long"),
        ("bias: [", "bias: [0.5, ", "network.0.bias has 6 numbers for 5 neurons"),
        (
            "bias: [",
            "bias: [1e99, ",
            "line 12: network.0.bias has a number that float32 can't hold",
        ),
        ("Signature:\n", "", "line 11: layer 0 must begin with the lines"),
        ("bias: ", "bios: ", "line 11: layer 0 must begin with the lines"),
        ("### layer_2", "### layer_0", "no heading of a further layer"),
        ("### layer_2", "### layer_3", "network.2.weight is missing"),
        ("### layer_0\n", "", "is no line of a signature"),
    ],
)
def test_a_fault_of_an_interwoven_layer_is_named_with_its_line(before, after, message):
    text, _, _ = render(uniform(2, 5), 0, "interwoven")
    for parse in (muat_exp.parse_prompt, muat_exp.parse_weights):
        with pytest.raises(PromptError, match=r"^line \d+: ") as caught:
            parse(text.replace(before, after, 1))
        assert message in str(caught.value)


@pytest.mark.parametrize(("style", "mark"), [("separate", "### "), ("interwoven", "### layer_")])
def test_layers_in_another_order_are_read_by_their_numbers(style, mark):
    """The published prompts sort them as text: 0, 10, 2."""
    text, weights, signature = render(uniform(5, 4), 3, style)
    moved = text[text.index(f"{mark}10\n") : text.index("\n## Task")]
    text = text.replace(moved, "").replace(f"{mark}2\n", f"{moved}{mark}2\n")
    assert text.index(f"{mark}10\n") < text.index(f"{mark}2\n")
    parsed = muat_exp.parse_prompt(text)
    assert np.array_equal(parsed.parameters, as_written(weights))
    assert np.array_equal(flat_signature(parsed).ravel(), as_written(signature))


def test_the_weights_of_a_json_column_are_read():
    shape = uniform(2, 4)
    _, weights, _ = render(shape, 0)
    answer = renderer("separate").weights(shape, weights)
    column = f'{{"config": {{}}, "weights": {answer}}}'
    assert np.array_equal(flat(muat_exp.parse_weights(column)), as_written(weights))


@given(st.integers(1, 4), st.integers(4, 8), st.integers(0, 10**6))
def test_the_answer_to_a_modification_prompt_comes_back(depth, width, seed):
    shape = uniform(depth, width)
    _, weights, signature = render(shape, seed)
    answer = renderer("separate").weights(shape, weights)
    found = muat_exp.parse_weights(f"Here they are: {answer}\nDone.")
    assert np.array_equal(flat(found), as_written(weights))
    for style in STYLES:  # a whole text: the answer's weights, not those of the prompt
        asked = renderer(style).modification(shape, 2 * weights, signature, PATTERNS[:1])
        for said in (answer, f"\n## Modified Weights\n{answer}\n"):
            found = muat_exp.parse_weights(asked + said)
            assert np.array_equal(flat(found), as_written(weights))
        assert np.array_equal(flat(muat_exp.parse_weights(asked)), as_written(2 * weights))
        parsed = muat_exp.parse_prompt(asked + answer)
        assert np.array_equal(parsed.parameters, as_written(2 * weights))


@pytest.mark.parametrize("style", STYLES)
@given(data=st.data())
def test_mutated_prompts_are_read_or_refused(style, data):
    text, _, _ = render(uniform(1, 4), 1, style)
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


@given(st.text(max_size=200))
def test_any_text_is_refused(text):
    with pytest.raises(PromptError):
        muat_exp.parse_prompt(text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{" * 100_000 + "}" * 100_000, '{"network.0.weight": 1e999}', "{}"]
)
def test_bombs_are_refused(text):
    with pytest.raises(PromptError):
        muat_exp.parse_weights(text)
