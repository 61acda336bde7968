"""Whether the prompts of a configuration can fit `dataset.max_tokens`: asked before any work."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.checks import require
from muat_exp.config.groups import COMPACT, Config
from muat_exp.errors import ConfigurationError
from muat_exp.prompts.codings import DIGITS, INTEGER, USUAL_DECIMALS, Coding
from muat_exp.prompts.forms import Form, own_form, with_form
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import NONE, TokenCounter, load_counter
from muat_exp.subjects.activations import activation_code
from muat_exp.subjects.architecture import Architecture, zero_networks
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored
from muat_exp.subjects.shapes import hidden_widths

_DRAWS = 4  # networks that are drawn; their prompts differ by a percent or two
_CERTAIN = 0.95  # share of the shortest one's tokens that no trained network stays below
_ADVISED = (
    Form(COMPACT, Coding(INTEGER, USUAL_DECIMALS)),
    Form(COMPACT, Coding(INTEGER, USUAL_DECIMALS, signature=False)),
    Form(COMPACT, Coding(DIGITS, USUAL_DECIMALS)),
    Form(COMPACT, Coding(DIGITS, USUAL_DECIMALS, signature=False)),
)


def require_fitting(config: Config) -> None:
    """Raises `ConfigurationError` where not even the smallest networks have prompts that fit.

    Their tokens are measured on networks with random weights, as nothing is trained yet.
    """
    limit = config.dataset.max_tokens
    if not limit:
        return
    counter = _require_counter(config)
    shape = config.architecture
    for task in config.dataset.tasks:
        fewest = _fewest_tokens(config, own_form(config), task, counter)
        require(
            fewest * _CERTAIN <= limit,
            f"dataset.max_tokens is {limit}, but {task} prompts of the smallest networks here, "
            f"{shape.num_layers.min} layers of {shape.neurons_per_layer.min} neurons, have about "
            f"{fewest} tokens with their completions; {_advice(config, task, counter)}.",
        )


def _require_counter(config: Config) -> TokenCounter:
    """The configured counter; raises `ConfigurationError` where there is none."""
    counter = load_counter(config.dataset.tokenizer)
    if counter is not None:
        return counter
    limit = f"dataset.max_tokens is {config.dataset.max_tokens}"
    if config.dataset.tokenizer == NONE:
        raise ConfigurationError(f"{limit}, but dataset.tokenizer={NONE} counts no tokens.")
    raise ConfigurationError(
        f"{limit}, but the tokenizer is not installed: pip install 'muat_exp[tokenizer]'."
    )


def _advice(config: Config, task: str, counter: TokenCounter) -> str:
    """What would fit: another form, or smaller networks."""
    shortest = 0
    for form in _ADVISED:
        shortest = _fewest_tokens(config, form, task, counter)
        if shortest <= config.dataset.max_tokens:
            return f"with {_typed(form)} they have about {shortest}"
    return (
        f"raise it, or ask for smaller networks: in the shortest form, {_typed(form)}, they have "
        f"about {shortest}"
    )


def _typed(form: Form) -> str:
    """A form as it is typed on the command line."""
    signature = "" if form.coding.signature else " prompts.signature=false"
    return f"dataset.style={form.style} prompts.coding={form.coding.name}{signature}"


def _fewest_tokens(config: Config, form: Form, task: str, counter: TokenCounter) -> int:
    """The fewest tokens of some networks of the smallest shape, prompt and completion together."""
    renderer = Renderer(with_form(config, form))
    generator = np.random.Generator(np.random.Philox(0))
    counts = []
    for _ in range(_DRAWS):
        prompt, completion = _texts(renderer, task, generator)
        counts.append(counter.count(prompt + completion))
    return min(counts)


def _texts(renderer: Renderer, task: str, generator: np.random.Generator) -> tuple[str, str]:
    """A prompt and a completion about a network of the smallest shape with random weights."""
    config = renderer.config
    shape = config.architecture
    activation = shape.activations[0]
    depth = shape.num_layers.min
    width = shape.neurons_per_layer.min
    architecture = Architecture(
        config.patterns.sequence_length, hidden_widths(shape.shape, depth, width), activation
    )
    columns = sum(columns for _, columns in renderer.methods)
    signature = generator.uniform(-1, 1, (architecture.neurons, columns)).astype(np.float32)
    weights = _random_weights(config, architecture, generator)
    for array in (signature, weights):
        array.flags.writeable = False  # as a record's arrays, for which the kernels are compiled
    arrays = {
        "weights": weights,
        "degraded_weights": weights,
        "signature": signature,
        "degraded_signature": signature,
    }
    names = config.patterns.enabled[: config.patterns.per_subject.min]
    return renderer.texts(task, {"selected_patterns": names}, architecture, arrays)


def _random_weights(
    config: Config, architecture: Architecture, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Weights as large as trained ones are, in the precision that is stored."""
    networks = zero_networks(
        config.architecture.shape,
        architecture.features,
        np.array([architecture.num_layers]),
        np.array([architecture.neurons_per_layer]),
        np.array([activation_code(architecture.activation)]),
    )
    drawn = generator.normal(scale=0.5, size=architecture.parameters).astype(np.float32)
    population = Population(networks).with_parameters(drawn)
    return as_stored(population, config.architecture, config.signature.definitions).parameters
