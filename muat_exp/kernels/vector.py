"""A vector of 16 float32 lanes as a Numba type.

With it a kernel says which numbers stay in registers.
Left to itself the compiler stores and reloads a row for every weight that is added to it; sums that
are kept in vectors triple the speed of a small matrix product. Sixteen lanes are one AVX-512
register; LLVM splits them where registers are narrower, with the same result but for fused
multiply-adds.

`+ - * /` work between vectors and with plain numbers, which fill all lanes. Each intrinsic below is
a pair: its Numba types, and a `codegen` that emits the LLVM instructions. Pictures show four lanes
in the place of sixteen.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 16
# Sums may be reordered and fused, and numbers are taken to be finite: as `compiled(fast=True)`
# does.
_FLAGS = ("contract", "reassoc", "nsz", "arcp", "nnan", "ninf")
_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_FLOATS = ir.VectorType(_FLOAT, LANES)
_INTS = ir.VectorType(_INT, LANES)
_MANTISSA_BITS = 23  # of a float32
_EXPONENT_BIAS = 127


class _VectorType(types.Type):
    """Numba's type of a vector."""

    def __init__(self):
        super().__init__(name=f"float32x{LANES}")


vector = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    """A vector is one LLVM value."""

    def __init__(self, manager, type_):
        super().__init__(manager, type_, _FLOATS)


def _fill(builder, value):
    """An LLVM float in all lanes.

    value                 v
    first       v  ?  ?  ?     ? is whatever was there
    shuffled    v  v  v  v     lane 0 is picked for every lane
    """
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, _INT(0))
    nothing_but_first = ir.Constant(_INTS, [0] * LANES)
    return builder.shuffle_vector(first, undefined, nothing_but_first)


def _entry(context, builder, array_type, array, index_type, index):
    """Address of one entry of an array, without a check for negative indices."""
    make = context.make_array(array_type)
    struct = make(context, builder, array)
    if isinstance(index_type, types.BaseTuple):
        indices = cgutils.unpack_tuple(builder, index)
    else:
        indices = [index]
    return cgutils.get_item_pointer(context, builder, array_type, struct, indices, wraparound=False)


def _pointer(context, builder, array_type, array, index_type, index):
    """Address of sixteen consecutive entries of an array."""
    entry = _entry(context, builder, array_type, array, index_type, index)
    return builder.bitcast(entry, _FLOATS.as_pointer())


@intrinsic
def load(typing_context, array, index):
    """The 16 entries of a contiguous float32 array that begin at an index.

    The index is an integer or a tuple of them.
    """

    def codegen(context, builder, signature, arguments):
        array_type, index_type = signature.args
        array, index = arguments
        address = _pointer(context, builder, array_type, array, index_type, index)
        value = builder.load(address)
        value.align = 4
        return value

    return vector(array, index), codegen


@intrinsic
def store(typing_context, array, index, value):
    """Writes a vector to the 16 entries that begin at an index."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type, _ = signature.args
        array, index, value = arguments
        address = _pointer(context, builder, array_type, array, index_type, index)
        builder.store(value, address).align = 4
        return context.get_dummy_value()

    return types.void(array, index, vector), codegen


@intrinsic
def splat(typing_context, value):
    """One float32 in all lanes."""

    def codegen(context, builder, signature, arguments):
        return _fill(builder, arguments[0])

    return vector(types.float32), codegen


@intrinsic
def broadcast(typing_context, array, index):
    """One entry of a contiguous float32 array in all lanes.

    Unlike an index, without a check for negative ones.
    """

    def codegen(context, builder, signature, arguments):
        array_type, index_type = signature.args
        array, index = arguments
        address = _entry(context, builder, array_type, array, index_type, index)
        return _fill(builder, builder.load(address))

    return vector(array, index), codegen


@intrinsic
def total(typing_context, value):
    """Sum of the lanes."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _FLOATS])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [_FLOAT(-0.0), arguments[0]], fastmath=_FLAGS)

    return types.float32(vector), codegen


def _halves_added(builder, x, y, group):
    """Adds the halves of each group of lanes: x's into the first half, y's into the second.

    One of the two operands is a blend, every lane in its place; only the other one has to move
    lanes. For a group of all four lanes, and then for groups of two:

    x       x0     x1     x2     x3          x       x0     x1     x2     x3
    y       y0     y1     y2     y3          y       y0     y1     y2     y3
    kept    x0     x1     y2     y3          kept    x0     y1     x2     y3
    moved   x2     x3     y0     y1          moved   x1     y0     x3     y2
    result  x0+x2  x1+x3  y0+y2  y1+y3       result  x0+x1  y0+y1  x2+x3  y2+y3
    """
    half = group // 2
    lanes = range(LANES)
    early = [lane % group < half for lane in lanes]  # in its group's first half
    # A shuffle numbers the lanes of its first operand from 0, those of its second from LANES.
    kept = [lane if early[lane] else LANES + lane for lane in lanes]
    moved = [lane + half if early[lane] else LANES + lane - half for lane in lanes]

    def picked(numbers):
        return builder.shuffle_vector(x, y, ir.Constant(_INTS, numbers))

    return builder.fadd(picked(kept), picked(moved), flags=_FLAGS)


# Where `store_totals` finds its sums in the sixteen lanes. Each halving puts its second operand
# into every other half: of eight sums, two lanes each, the order is a e c g b f d h.
_LANES_OF_A_TO_D = [0, 8, 4, 12]
_LANES_OF_E_TO_H = [2, 10, 6, 14]


def _store_lanes(builder, value, lanes, address):
    """Writes some lanes of a vector from an address on."""
    picked = ir.Constant(ir.VectorType(_INT, len(lanes)), lanes)
    part = builder.shuffle_vector(value, value, picked)
    pointer = builder.bitcast(address, part.type.as_pointer())
    builder.store(part, pointer).align = 4


@intrinsic
def store_totals(typing_context, array, first, second, a, b, c, d, e, f, g, h):
    """Writes the sums of the lanes of a to d from `first` on, those of e to h from `second` on.

    Halvings are shared: 8 sums cost 8 additions where sums of their own would cost 32. Which
    vectors' sums a lane of the first operand holds, in groups of four lanes:

    8 vectors    aaaa aaaa aaaa aaaa    and b to h
    4 vectors    aaaa aaaa bbbb bbbb    and cd, ef, gh: half as many lanes per sum
    2 vectors    aaaa cccc bbbb dddd    and efgh
    1 vector     aaee ccgg bbff ddhh
    its own halves added, each sum is whole in both of its lanes.
    """

    def codegen(context, builder, signature, arguments):
        array_type, first_type, second_type, *_ = signature.args
        array, first, second, *sums = arguments
        for group in (16, 8, 4):
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [_halves_added(builder, x, y, group) for x, y in pairs]
        whole = _halves_added(builder, sums[0], sums[0], 2)
        address = _entry(context, builder, array_type, array, first_type, first)
        _store_lanes(builder, whole, _LANES_OF_A_TO_D, address)
        address = _entry(context, builder, array_type, array, second_type, second)
        _store_lanes(builder, whole, _LANES_OF_E_TO_H, address)
        return context.get_dummy_value()

    return types.void(array, first, second, *[vector] * 8), codegen


@intrinsic
def where_above(typing_context, value, bound, then, otherwise):
    """Lane by lane, `then` where value > bound, else `otherwise`."""

    def codegen(context, builder, signature, arguments):
        value, bound, then, otherwise = arguments
        above = builder.fcmp_ordered(">", value, bound, flags=_FLAGS)
        return builder.select(above, then, otherwise)

    return vector(vector, vector, vector, vector), codegen


@intrinsic
def nearest(typing_context, value):
    """Each lane rounded to the nearest whole number."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        name = f"llvm.rint.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, arguments)

    return vector(vector), codegen


@intrinsic
def power_of_two(typing_context, value):
    """2 to the power of each lane, a whole number from -126 to 127, by its exponent bits."""

    def codegen(context, builder, signature, arguments):
        bias = ir.Constant(_INTS, [_EXPONENT_BIAS] * LANES)
        shift = ir.Constant(_INTS, [_MANTISSA_BITS] * LANES)
        whole = builder.fptosi(arguments[0], _INTS)
        exponent = builder.add(whole, bias)
        bits = builder.shl(exponent, shift)
        return builder.bitcast(bits, _FLOATS)

    return vector(vector), codegen


def _define_operator(operation, instruction):
    """Makes an operator work between vectors, and between a vector and a number.

    A vector is a value: `+=` makes another one.
    """

    @type_callable(operation)
    def resolve(context):
        def result(a, b):
            known = {type(a), type(b)} <= {_VectorType, types.Float}
            return vector if known and vector in (a, b) else None

        return result

    def lanes_of(context, builder, value, type_):
        """A vector as it is, a number in all lanes."""
        if type_ == vector:
            return value
        return _fill(builder, context.cast(builder, value, type_, types.float32))

    def lower(context, builder, signature, arguments):
        operands = [
            lanes_of(context, builder, value, type_)
            for value, type_ in zip(arguments, signature.args, strict=True)
        ]
        return getattr(builder, instruction)(*operands, flags=_FLAGS)

    for operand_types in ((vector, vector), (vector, types.Float), (types.Float, vector)):
        lower_builtin(operation, *operand_types)(lower)


_define_operator(operator.add, "fadd")
_define_operator(operator.iadd, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")
_define_operator(operator.truediv, "fdiv")
