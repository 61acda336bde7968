"""Weights as they are stored: quantised, then rounded to a floating-point type, and held in float32 all the same."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import QUANTIZATIONS, ArchitectureConfig
from muat_exp.kernels.quantization import quantize
from muat_exp.subjects.population import Population


def rounded(values: NDArray[np.float32], precision: str) -> NDArray[np.float32]:
    """Float32 values rounded to the nearest number of a type, ties to even; beyond its range infinite.

    >>> rounded(np.array([1.01], np.float32), "bfloat16").tolist()
    [1.0078125]
    """
    if precision == "float16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    if precision == "bfloat16":  # the upper half of the bits, rounded
        bits = values.view(np.uint32)
        upper = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
            0xFFFF0000
        )
        return np.where(np.isfinite(values), upper.view(np.float32), values)
    return values


def as_stored(population: Population, architecture: ArchitectureConfig) -> Population:
    """The subjects with the weights that a dataset holds of them, quantised and rounded as configured.

    Quantised weights are float multiples of their scales, rounded in turn; biases are rounded only.
    """
    parameters = population.parameters
    if architecture.quantization != "none":
        parameters = parameters.copy()
        scheme = QUANTIZATIONS.index(architecture.quantization)
        quantize(
            population.depths,
            population.widths,
            parameters,
            population.offsets,
            population.features,
            scheme,
        )
    return population.with_parameters(rounded(parameters, architecture.precision))
