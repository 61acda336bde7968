"""The schemes by which stored weights may be quantised.

To add one: an entry of `_REGISTRY`, and what it does to a neuron's weights in
`kernels.quantization`. Its code is its place here, those of `_PUBLISHED` behind the others; the
choices of the configuration follow. Pure Python, as the configuration and the compiled kernels read
it.
"""

from typing import NamedTuple

from muat_exp.sequences.patterns import PUBLISHED


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
# What the published family means by a name where that is something else: no scale.
_PUBLISHED = (
    Scheme("ternary", "-1, 0 or 1; 0 below 20 % of the largest |weight| of the layer"),
    Scheme("binary", "-1 or 1"),
)
SCHEMES = {scheme.name: scheme for scheme in _REGISTRY}
PUBLISHED_SCHEMES = {scheme.name: scheme for scheme in _PUBLISHED}


def scheme_code(name: str, definitions: str = "") -> int:
    """The number by which kernels know a scheme, as these definitions mean it.

    Raises:
        ValueError: there is no scheme of this name.

    >>> scheme_code("int4")
    1
    """
    if definitions == PUBLISHED and name in PUBLISHED_SCHEMES:
        return len(SCHEMES) + tuple(PUBLISHED_SCHEMES).index(name)
    return tuple(SCHEMES).index(name)
