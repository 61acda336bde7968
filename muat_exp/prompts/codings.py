"""How the style `compact` spells numbers: the codings, and their limits.

To add one: an entry of `CODINGS`, how a number is written in `kernels.compact`, how it is read back
in `prompts.compact_parsing`, and what is lost in `compact.rounded_weights`. Its code is its place
here. Pure Python, as the configuration and the compiled kernels read it.
"""

from typing import NamedTuple

DECIMAL = "decimal"
INTEGER = "integer"
DIGITS = "digits"
CODINGS = {
    DECIMAL: "with a point and all its decimals",
    INTEGER: "whole numbers of the last decimal's unit, weights times 1000 with 3 decimals",
    DIGITS: "three digits per number and nothing between them, 500 + 499 times the share of the "
    "layer's largest magnitude",
}
DECIMALS = (1, 6)  # fewest and most of a number
USUAL_DECIMALS = 3  # fewer save no tokens: up to three digits are one
CENTRE = 500  # by digits: what stands for 0
SPAN = 499  # by digits: how far from it the layer's largest magnitude is
LARGEST = 1e12  # magnitudes below it are written; by digits any


class Coding(NamedTuple):
    """How the numbers of a compact prompt are spelled, and whether it has a signature.

    Attributes:
        name: one of `CODINGS`.
        decimals: that numbers are rounded to; by digits none are counted.
        signature: whether the signature is there.
    """

    name: str = DECIMAL
    decimals: int = DECIMALS[1]
    signature: bool = True

    @property
    def unit(self) -> int:
        """Units of the last decimal in 1."""
        return int(10**self.decimals)

    @property
    def line(self) -> str:
        """The line that tells a reader how to undo it.

        >>> Coding("integer", 3).line, Coding("digits").line
        ('Coding: integer, 3 decimals', 'Coding: digits')
        """
        if self.name == DIGITS:
            return f"Coding: {self.name}"
        return f"Coding: {self.name}, {self.decimals} decimal{'s' * (self.decimals > 1)}"


PLAIN = Coding()


def coding_code(name: str) -> int:
    """The number by which kernels know a coding.

    Raises:
        ValueError: there is no coding of this name.

    >>> coding_code("integer")
    1
    """
    return tuple(CODINGS).index(name)
