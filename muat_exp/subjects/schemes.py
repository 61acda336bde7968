"""The schemes by which stored weights may be quantised.

To add one: an entry of `_REGISTRY`, and what it does to a neuron's weights in
`kernels.quantization`. Its code is its place here; the choices of the configuration follow. Imports
nothing, as the configuration and the compiled kernels read it.
"""

from typing import NamedTuple


class Scheme(NamedTuple):
    """One scheme of quantisation.

    Attributes:
        name: as the configuration and the tables spell it.
        doc: what each neuron's weights become.
    """

    name: str
    doc: str


_REGISTRY = (
    Scheme("int8", "whole multiples, -127 to 127, of the largest |weight| / 127"),
    Scheme("int4", "whole multiples, -7 to 7, of the largest |weight| / 7"),
    Scheme("ternary", "-1, 0 or 1 times the mean |weight| of those outside a dead zone around 0"),
    Scheme("binary", "-1 or 1 times the mean |weight|"),
)
SCHEMES = {scheme.name: scheme for scheme in _REGISTRY}
_NAMES = tuple(SCHEMES)


def scheme_code(name: str) -> int:
    """The number by which kernels know a scheme.

    Raises:
        ValueError: there is no scheme of this name.

    >>> scheme_code("int4")
    1
    """
    return _NAMES.index(name)
