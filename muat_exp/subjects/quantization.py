"""Weights as they are stored: quantised, then rounded to a floating-point type.

They are held in float32 all the same.
"""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import ArchitectureConfig
from muat_exp.kernels.quantization import quantize
from muat_exp.subjects.population import Population
from muat_exp.subjects.schemes import scheme_code


def rounded(values: NDArray[np.float32], precision: str) -> NDArray[np.float32]:
    """Float32 values rounded to the nearest number of a type.

    Ties go to even; what is beyond the type's range becomes infinite.
    >>> rounded(np.array([1.01], np.float32), "bfloat16").tolist()
    [1.0078125]
    """
    if precision == "float32":
        return values
    if precision == "float16":
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        return halves.astype(np.float32)
    if precision == "bfloat16":
        return _rounded_to_bfloat16(values)
    raise ValueError(f"'{precision}' is no precision")


def _rounded_to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper half of the bits, rounded to nearest, ties to even; what is not finite stays.

    Half a unit less one bit is added to the bits, and one more where the last bit that stays is 1:
    a tie then carries over only to an even number.
    """
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    carried = bits + np.uint32(0x7FFF) + odd
    upper = carried & np.uint32(0xFFFF0000)
    finite = np.isfinite(values)
    return np.where(finite, upper.view(np.float32), values)


def as_stored(
    population: Population, architecture: ArchitectureConfig, definitions: str
) -> Population:
    """The subjects with the weights that a dataset holds of them.

    Quantised weights are float multiples of their scales, rounded in turn; biases are rounded only.

    Args:
        population: the subjects with float32 weights.
        architecture: the quantization and the precision.
        definitions: whose definitions of the quantization hold (`signature.definitions`).
    """
    parameters = population.parameters
    if architecture.quantization != "none":
        parameters = parameters.copy()
        networks = population.networks._replace(parameters=parameters)
        quantize(networks, scheme_code(architecture.quantization, definitions))
    return population.with_parameters(rounded(parameters, architecture.precision))
