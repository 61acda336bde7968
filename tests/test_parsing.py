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


def renderer(style):
    return PromptRenderer(PATTERNS, METHODS, 10, style)


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


def flat_signature(parsed):
    return np.concatenate(
        [np.column_stack([layer["mean"], layer["pca"]]) for layer in parsed.signature.values()]
    )


@pytest.mark.parametrize("style", STYLES)
@given(architectures(), st.integers(0, 10**6))
def test_a_prompt_comes_back(style, architecture, seed):
    text, weights, signature = render(architecture, seed, style)
    parsed = muat_exp.parse_prompt(text)
    assert parsed.architecture == architecture
    assert parsed.num_layers == len(parsed.widths)
    assert parsed.neurons_per_layer == parsed.widths[0]
    assert (parsed.sequence_length, parsed.vocab_size) == (5, 10)
    assert np.allclose(parsed.parameters, weights, rtol=1e-6, atol=6e-7)
    assert np.allclose(flat_signature(parsed), signature, atol=6e-7)
    again = renderer(style).classification(
        parsed.architecture, parsed.parameters, flat_signature(parsed)
    )
    assert again == text
    assert all(
        np.array_equal(parsed.weights[name], array)
        for name, array in muat_exp.parse_weights(text).items()
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("## Weights", "## Waits", "no section '## Weights'"),
        ("2 hidden layers", "3 hidden layers", "need"),
        ("of 5 neurons", "of 5, 6 neurons", "need"),
        ("of 5 neurons", "of 5, 5, 5 neurons", "line 2: the architecture"),
        ("2 hidden layers", "0 hidden layers", "line 2: the architecture"),
        ("relu;", "sine;", "line 2: the architecture"),
        ("### 2", "### 3", "'### 2' must come here"),
        ('"network.2.bias"', '"network.2.bios"', "network.2.bias is missing"),
        ("mean: ", "mean: true, ", "must be a list of numbers"),
        ("pca: [", "pca: ", "not JSON"),
        ("## Signature", "## Signature\n???", "no line of a signature"),
    ],
)
def test_a_fault_is_named_with_its_line(before, after, message):
    text, _, _ = render(uniform(2, 5), 0)
    with pytest.raises(PromptError, match=r"^line \d+: ") as caught:
        muat_exp.parse_prompt(text.replace(before, after, 1))
    assert message in str(caught.value)


@given(st.integers(1, 4), st.integers(4, 8), st.integers(0, 10**6))
def test_the_answer_to_a_modification_prompt_comes_back(depth, width, seed):
    shape = uniform(depth, width)
    _, weights, signature = render(shape, seed)
    answer = renderer("separate").weights(shape, weights)
    flat = np.concatenate(
        [
            array.ravel()
            for array in muat_exp.parse_weights(f"Here they are: {answer}\nDone.").values()
        ]
    )
    assert np.allclose(flat, weights, rtol=1e-6, atol=6e-7)
    for style in STYLES:  # a whole text: the answer's weights, not those of the prompt
        asked = renderer(style).modification(shape, 2 * weights, signature, PATTERNS[:1])
        found = np.concatenate(
            [array.ravel() for array in muat_exp.parse_weights(asked + answer).values()]
        )
        assert np.array_equal(found, flat)
    prompt = renderer("separate").modification(shape, weights, signature, PATTERNS[:1])
    assert np.allclose(muat_exp.parse_prompt(prompt).parameters, weights, rtol=1e-6, atol=6e-7)
    assert prompt.endswith(f"- {PATTERNS[0].name}: {PATTERNS[0].description}\n\n## Answer\n")


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
