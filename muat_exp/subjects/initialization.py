"""The weights that subjects start from."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.kernels import random
from muat_exp.kernels.training import draw_parameters
from muat_exp.subjects.activations import GAINS
from muat_exp.subjects.architecture import zero_networks
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs

# Bounds of uniform initial weights, times sqrt(fan_in): sqrt(3) times the deviation that keeps the
# variance, and nn.Linear's own.
_KAIMING = 3**0.5 * np.array(GAINS)
_DEFAULT = 1.0


def empty_population(config: Config, specs: Specs) -> Population:
    """The subjects with all weights zero."""
    networks = zero_networks(
        config.architecture.shape,
        config.patterns.sequence_length,
        specs.depths,
        specs.widths,
        specs.activations,
    )
    return Population(networks)


def draw_population(config: Config, specs: Specs) -> Population:
    """The subjects with their initial weights."""
    population = empty_population(config, specs)
    keys = random.generator_keys(config.seed, _drawers(config, specs), random.WEIGHTS)
    if config.training.init == "kaiming":
        weight_bounds = _KAIMING[specs.activations]
        bias_bound = 0.0
    elif config.training.init == "default":
        weight_bounds = np.full(len(specs), _DEFAULT)
        bias_bound = _DEFAULT
    else:
        raise ValueError(f"training.init is '{config.training.init}', which is no initialization")
    draw_parameters(population.networks, keys, weight_bounds, bias_bound)
    return population


def _drawers(config: Config, specs: Specs) -> NDArray[np.int64]:
    """Numbers of the subjects whose streams the initial weights come from, int64 `(S,)`.

    A shared start is that of the subject 0 for all, as if one seed were set before each network is
    made: networks of the same widths and activation start equal, and those of the same widths and
    another activation from the same numbers within other bounds.
    """
    if config.training.shared_init:
        return np.zeros(len(specs), np.int64)
    return specs.indices
