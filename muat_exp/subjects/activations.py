"""The activations that hidden layers may have.

What the configuration, the kernels and PyTorch know of each.
To add one: an entry of `_REGISTRY`, and its value and slope in `kernels.network`. Its code is its
place here; the gains of initial weights, the choices of the configuration and the modules of
PyTorch follow. Imports nothing, as the configuration and the compiled kernels read it.
"""

from typing import NamedTuple

LEAK = 0.01  # slope of leaky_relu below 0, PyTorch's own
IDENTITY = -1  # code of a layer without an activation: the logit's


class Activation(NamedTuple):
    """One activation.

    Attributes:
        name: as the configuration, the tables and the prompts spell it.
        gain: what keeps the activations' variance from layer to layer: initial weights of a
            variance of gain^2 / fan_in. For the rectifiers by He et al. 2015, for the sigmoid by
            Glorot and Bengio 2010, for tanh PyTorch's own, for silu E f(z)^2 to the power of -1/2
            for a standard normal z, as Karras et al. 2024 scale it.
        module: its class in `torch.nn`.
    """

    name: str
    gain: float
    module: str


_REGISTRY = (
    Activation("relu", 2**0.5, "ReLU"),
    Activation("gelu", 2**0.5, "GELU"),
    Activation("tanh", 5 / 3, "Tanh"),
    Activation("sigmoid", 4.0, "Sigmoid"),
    Activation("leaky_relu", (2 / (1 + LEAK**2)) ** 0.5, "LeakyReLU"),
    Activation("silu", 1.6765, "SiLU"),
)
ACTIVATIONS = tuple(activation.name for activation in _REGISTRY)
GAINS = tuple(activation.gain for activation in _REGISTRY)


def activation_code(name: str) -> int:
    """The number by which tables of layers and kernels know an activation.

    Raises:
        ValueError: there is no activation of this name.

    >>> activation_code("gelu")
    1
    """
    return ACTIVATIONS.index(name)


def activation_of(code: int) -> Activation:
    """The activation with a code.

    Raises:
        ValueError: no activation has this code.
    """
    if not 0 <= code < len(_REGISTRY):
        raise ValueError(f"{code} is the code of no activation; they are 0 to {len(_REGISTRY) - 1}")
    return _REGISTRY[code]
