"""Prompts against Python's own formatting and JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muat_exp.config.groups import Config
from muat_exp.kernels.text import write_number
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.prompts.tokens import load_counter
from muat_exp.subjects.architecture import Architecture, split_parameters

WIDTH = 4
SHAPE = Architecture(5, (WIDTH,) * 3, "gelu")


def spelled(value):
    buffer = np.empty(64, np.uint8)
    return buffer[: write_number(buffer, 0, np.float32(value))].tobytes().decode()


@given(st.floats(-1e8, 1e8, width=32))
def test_numbers_are_spelled_as_python_spells_them(value):
    assert spelled(value) == f"{value:.6f}".replace("-0.000000", "0.000000")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000000"), (-1e-9, "0.000000"), (-0.5, "-0.500000"), (12.25, "12.250000")],
)
def test_spellings(value, text):
    assert spelled(value) == text


@pytest.fixture(scope="module")
def subject():
    generator = np.random.default_rng(0)
    parameters = generator.normal(size=SHAPE.parameters).astype(np.float32)
    return parameters, generator.normal(size=(SHAPE.neurons, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def prompt(subject):
    renderer = PromptRenderer(Config().patterns.build(), [("mean", 1), ("pca", 3)], 10)
    return renderer.classification(SHAPE, *subject)


def section(prompt, name):
    return prompt.split(f"## {name}\n")[1].split("\n\n")[0]


def test_sections_come_in_the_published_order(prompt):
    titles = [line for line in prompt.splitlines() if line.startswith("## ")]
    assert titles == ["## Architecture", "## Weights", "## Signature", "## Task", "## Answer"]
    assert section(prompt, "Architecture").startswith("3 hidden layers of 4 neurons, gelu")


def test_weights_are_indented_json_with_six_decimals(prompt, subject):
    text = section(prompt, "Weights")
    weights = json.loads(text)
    for i, (weight, bias) in enumerate(split_parameters(subject[0], SHAPE.layers)):
        assert np.allclose(weights[f"network.{2 * i}.weight"], weight, atol=5.1e-7)
        assert np.allclose(weights[f"network.{2 * i}.bias"], bias, atol=5.1e-7)
    numbers = [f"{value:.6f}" for value in subject[0]]
    assert [
        line.strip(" ,") for line in text.splitlines() if line.strip(" -")[:1].isdigit()
    ] == numbers
    spaced = json.dumps(json.loads(text, parse_float=lambda number: f"<{number}>"), indent=2)
    assert text == spaced.replace('"<', "").replace('>"', "")


def test_signatures_are_a_block_a_layer_and_a_line_a_method(prompt, subject):
    blocks = section(prompt, "Signature").split("### ")[1:]
    assert [block.splitlines()[0] for block in blocks] == ["0", "2", "4", "6"]
    first = blocks[0].splitlines()
    mean, pca = first[1].removeprefix("mean: "), first[2].removeprefix("pca: ")
    assert np.allclose(json.loads(f"[{mean}]"), subject[1][:WIDTH, 0], atol=5.1e-7)
    assert np.allclose(json.loads(f"[{pca}]"), subject[1][:WIDTH, 1:], atol=5.1e-7)
    assert blocks[3].splitlines()[2].count("[") == 1


def test_layers_of_different_widths_are_listed():
    shape = Architecture(5, (9, 6, 4), "relu")
    renderer = PromptRenderer(Config().patterns.build(), [("mean", 1)], 10)
    weights = np.zeros(shape.parameters, np.float32)
    text = renderer.classification(shape, weights, np.zeros((shape.neurons, 1), np.float32))
    assert section(text, "Architecture").startswith("3 hidden layers of 9, 6, 4 neurons, relu; ")


def test_the_task_lists_every_pattern(prompt):
    listed = [line[2:].split(":")[0] for line in section(prompt, "Task").splitlines()[1:]]
    assert listed == list(Config().patterns.enabled)


@pytest.mark.parametrize(("depth", "width", "published"), [(8, 10, 11581), (10, 15, 26103)])
def test_prompts_have_as_many_tokens_as_the_published_ones(depth, width, published):
    generator = np.random.default_rng(0)
    shape = Architecture(5, (width,) * depth, "relu")
    renderer = PromptRenderer(Config().patterns.build(), [("pca", 10)], 10)
    weights = generator.normal(scale=0.5, size=shape.parameters).astype(np.float32)
    loadings = generator.uniform(-0.9, 0.9, size=(shape.neurons, 10)).astype(np.float32)
    text = renderer.classification(shape, weights, loadings) + "palindrome"
    counter = load_counter("llama3")
    assert counter is not None
    assert counter.count(text) == pytest.approx(published, rel=0.01)
