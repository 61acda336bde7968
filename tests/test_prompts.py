"""Prompts against Python's own formatting and JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muat_exp.config.groups import COMPACT, STYLES, Config
from muat_exp.kernels.text import write_json_number, write_number
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.prompts.tokens import load_counter
from muat_exp.subjects.architecture import Architecture, split_neurons, split_parameters

PATTERNS = Config().patterns.build()
METHODS = [("mean", 1), ("pca", 3)]
SHAPES = [Architecture(5, (4,) * 3, "gelu"), Architecture(7, (9, 6, 4), "relu")]
HEAD = """\
## Model Architecture
Input Size: 5 (integer indices, vocabulary size 10)
Hidden Layers: 3
Neurons per Layer: 4
Activation Function: gelu
Dropout Rate: 0.25

"""


def spelled(write, value):
    buffer = np.empty(64, np.uint8)
    return buffer[: write(buffer, 0, np.float32(value))].tobytes().decode()


def as_json(value):
    return json.dumps(round(float(value), 6))


@given(st.floats(-1e8, 1e8, width=32))
def test_numbers_are_spelled_as_python_spells_them(value):
    assert spelled(write_number, value) == f"{value:.6f}"
    assert spelled(write_json_number, value) == as_json(value)


@given(st.integers(-(10**7), 10**7))
def test_short_decimals_are_spelled_as_json_spells_them(millionths):
    value = np.float32(millionths / 10**6)
    assert spelled(write_json_number, value) == as_json(value)


@pytest.mark.parametrize(
    ("value", "six", "shortest"),
    [
        (0.0, "0.000000", "0.0"),
        (-0.0, "-0.000000", "-0.0"),
        (-1e-9, "-0.000000", "-0.0"),
        (1e-6, "0.000001", "1e-06"),
        (-0.00002, "-0.000020", "-2e-05"),
        (0.000099, "0.000099", "9.9e-05"),
        (0.0001, "0.000100", "0.0001"),
        (-0.5, "-0.500000", "-0.5"),
        (1.0, "1.000000", "1.0"),
        (12.25, "12.250000", "12.25"),
        (0.9999999, "1.000000", "1.0"),
        (2.0**40, "1099511627776.000000", "1099511627776.0"),
    ],
)
def test_spellings(value, six, shortest):
    assert spelled(write_number, value) == six
    assert spelled(write_json_number, value) == shortest


def drawn(shape, columns=4):
    """Weights of all sizes, some of them round, and a signature."""
    generator = np.random.default_rng(0)
    scales = 10.0 ** generator.integers(-7, 3, shape.parameters)
    weights = (generator.normal(size=shape.parameters) * scales).astype(np.float32)
    weights[::5] = np.round(weights[::5], 2)
    return weights, generator.normal(size=(shape.neurons, columns)).astype(np.float32)


def rounded_lists(array):
    return [rounded_lists(row) for row in array] if array.ndim else round(float(array), 6)


def plain_object(shape, weights):
    """The JSON object of a network's weights, by Python's own JSON."""
    content: dict[str, object] = {}
    for layer, pair in zip(shape.layers, split_parameters(weights, shape.layers), strict=True):
        content |= zip(layer.names, map(rounded_lists, pair), strict=True)
    return json.dumps(content, indent=2)


def plain_row(values):
    return "[" + ", ".join(f"{value:.6f}" for value in values) + "]"


def plain_profiles(rows, indent=""):
    """The lines of a layer's signature, by Python's own formatting."""
    pca = ", ".join(plain_row(row) for row in rows[:, 1:])
    return f"{indent}mean: {plain_row(rows[:, 0])}\n{indent}pca: [{pca}]\n"


def plain_middle(style, shape, weights, signature):
    """All that stands between the architecture and the task."""
    layers = shape.layers
    blocks = split_neurons(signature, layers)
    if style == "separate":
        text = "## Model Weights\nWeight (out x in) and bias of each layer:\n\n"
        text += plain_object(shape, weights) + "\n\n## Activation Signature\n\n"
        for layer, rows in zip(layers, blocks, strict=True):
            text += f"### {layer.module}\n{plain_profiles(rows)}"
        return text
    text = "## Model Weights and Activation Signatures\n\n"
    for layer, pair, rows in zip(layers, split_parameters(weights, layers), blocks, strict=True):
        weight, bias = map(json.dumps, map(rounded_lists, pair))
        text += f"### layer_{layer.module}\nweight: {weight}\nbias: {bias}\nSignature:\n"
        text += plain_profiles(rows, "  ")
    return text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("style", [style for style in STYLES if style != COMPACT])
def test_a_prompt_is_what_plain_python_writes(style, shape):
    weights, signature = drawn(shape)
    renderer = PromptRenderer(PATTERNS, METHODS, 10, style, 0.25)
    prompts = [
        renderer.classification(shape, weights, signature),
        renderer.modification(shape, weights, signature, PATTERNS[:2]),
    ]
    for text in prompts:
        _, heading, behind = text.partition("\n\n")
        assert (heading + behind.partition("\n## Task\n")[0])[2:] == plain_middle(
            style, shape, weights, signature
        )
    assert renderer.weights(shape, weights) == plain_object(shape, weights)


def test_the_architecture_is_a_line_for_each_property():
    shape = SHAPES[0]
    text = PromptRenderer(PATTERNS, METHODS, 10, dropout=0.25).classification(shape, *drawn(shape))
    assert text.startswith(HEAD)


def test_layers_of_different_widths_are_listed():
    shape = SHAPES[1]
    text = PromptRenderer(PATTERNS, METHODS, 10).classification(shape, *drawn(shape))
    assert text.splitlines()[1:4] == [
        "Input Size: 7 (integer indices, vocabulary size 10)",
        "Hidden Layers: 3",
        "Neurons per Layer: 9, 6, 4",
    ]


def test_the_task_lists_every_pattern_and_ends_with_the_request():
    shape = SHAPES[0]
    text = PromptRenderer(PATTERNS, METHODS, 10).classification(shape, *drawn(shape))
    lines = text.partition("## Task\n")[2].split("\n")
    assert lines[0].startswith("Letters A to J are 0 to 9")
    assert lines[2:-3] == [f"- {pattern.name}: {pattern.description}" for pattern in PATTERNS]
    assert lines[-3:] == ["", "Answer with names, separated by commas.", ""]


def test_a_modification_names_the_patterns_that_were_damaged():
    shape = SHAPES[0]
    renderer = PromptRenderer(PATTERNS, METHODS, 10)
    weights, signature = drawn(shape)
    text = renderer.modification(shape, weights, signature, PATTERNS[:1])
    task = text.partition("## Task\n")[2]
    assert f"- {PATTERNS[0].name}: {PATTERNS[0].description}\n\nAnswer with one JSON object" in task
    assert PATTERNS[1].name not in task
    assert task.endswith("layers.\n")


@pytest.mark.parametrize(("depth", "width", "published"), [(8, 10, 11581), (10, 15, 26103)])
def test_prompts_have_as_many_tokens_as_the_published_ones(depth, width, published):
    generator = np.random.default_rng(0)
    shape = Architecture(5, (width,) * depth, "relu")
    renderer = PromptRenderer(PATTERNS, [("pca", 10)], 10)
    weights = generator.normal(scale=0.5, size=shape.parameters).astype(np.float32)
    loadings = generator.uniform(-0.9, 0.9, size=(shape.neurons, 10)).astype(np.float32)
    text = renderer.classification(shape, weights, loadings) + "palindrome"
    counter = load_counter("llama3")
    assert counter is not None
    assert counter.count(text) == pytest.approx(published, rel=0.005)
