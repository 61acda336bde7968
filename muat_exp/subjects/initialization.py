"""The weights that subjects start from."""

import numpy as np

from muat_exp.config.groups import ACTIVATIONS, Config
from muat_exp.kernels import random
from muat_exp.kernels.training import draw_weights
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs

# Bounds of initial weights, times sqrt(fan_in): sqrt(3) gains that keep an activation's variance from layer to layer, those
# of He et al. 2015 for the rectifiers, 4 for the sigmoid as in Glorot and Bengio 2010; and nn.Linear's own.
_GAINS = {
    "relu": 2**0.5,
    "gelu": 2**0.5,
    "tanh": 5 / 3,
    "sigmoid": 4.0,
    "leaky_relu": (2 / (1 + 0.01**2)) ** 0.5,
}
_KAIMING = 3**0.5 * np.array([_GAINS[name] for name in ACTIVATIONS])
_DEFAULT = 1.0


def empty_population(config: Config, specs: Specs) -> Population:
    """The subjects with all weights zero."""
    return Population.zeros(
        config.patterns.sequence_length, specs.depths, specs.widths, specs.kinds
    )


def draw_population(config: Config, specs: Specs) -> Population:
    """The subjects with their initial weights."""
    population = empty_population(config, specs)
    kaiming = config.training.init == "kaiming"
    draw_weights(
        specs.depths,
        specs.widths,
        population.parameters,
        population.offsets,
        population.features,
        random.generator_keys(config.seed, specs.indices, random.WEIGHTS),
        _KAIMING[specs.kinds] if kaiming else np.full(len(specs), _DEFAULT),
        0.0 if kaiming else _DEFAULT,
    )
    return population
