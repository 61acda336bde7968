"""A vector of 16 float32 lanes as a Numba type, so that a kernel says which numbers stay in registers.

Left to itself the compiler stores and reloads a row for every weight that is added to it; sums that are kept in
vectors triple the speed of a small matrix product. Sixteen lanes are one AVX-512 register; LLVM splits them where
registers are narrower, with the same result but for fused multiply-adds.

`+ - * /` work between vectors and with plain numbers, which fill all lanes.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 16
FLAGS = ("contract", "reassoc", "nsz", "arcp", "nnan", "ninf")
FLOAT = ir.FloatType()
INT = ir.IntType(32)
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(INT, LANES)


class VectorType(types.Type):
    """Numba's type of a vector."""

    def __init__(self):
        super().__init__(name=f"float32x{LANES}")


vector = VectorType()


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A vector is one LLVM value."""

    def __init__(self, manager, type_):
        super().__init__(manager, type_, FLOATS)


def fill(builder, value):
    """An LLVM float in all lanes."""
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, INT(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def pointer(context, builder, array_type, array, index_type, index):
    """Address of sixteen consecutive entries of an array."""
    struct = context.make_array(array_type)(context, builder, array)
    indices = (
        cgutils.unpack_tuple(builder, index) if isinstance(index_type, types.BaseTuple) else [index]
    )
    entry = cgutils.get_item_pointer(
        context, builder, array_type, struct, indices, wraparound=False
    )
    return builder.bitcast(entry, FLOATS.as_pointer())


@intrinsic
def load(typing_context, array, index):
    """The 16 entries that begin at an index (an integer or a tuple of them) of a contiguous float32 array."""

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        value = builder.load(
            pointer(context, builder, kinds[0], arguments[0], kinds[1], arguments[1])
        )
        value.align = 4
        return value

    return vector(array, index), codegen


@intrinsic
def store(typing_context, array, index, value):
    """Writes a vector to the 16 entries that begin at an index."""

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        target = pointer(context, builder, kinds[0], arguments[0], kinds[1], arguments[1])
        builder.store(arguments[2], target).align = 4
        return context.get_dummy_value()

    return types.void(array, index, vector), codegen


@intrinsic
def splat(typing_context, value):
    """One float32 in all lanes."""
    return vector(types.float32), lambda context, builder, signature, arguments: fill(
        builder, arguments[0]
    )


@intrinsic
def broadcast(typing_context, array, index):
    """One entry of a contiguous float32 array in all lanes; unlike an index, without a check for negative ones."""

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        struct = context.make_array(kinds[0])(context, builder, arguments[0])
        entry = cgutils.get_item_pointer(
            context, builder, kinds[0], struct, [arguments[1]], wraparound=False
        )
        return fill(builder, builder.load(entry))

    return vector(array, index), codegen


@intrinsic
def total(typing_context, value):
    """Sum of the lanes."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(FLOAT, [FLOAT, FLOATS])
        function = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32"
        )
        return builder.call(function, [FLOAT(-0.0), arguments[0]], fastmath=FLAGS)

    return types.float32(vector), codegen


def halves_added(builder, x, y, lanes):
    """Sums of the two halves of each group of lanes: those of x stand where x had its first halves, those of y beside.

    One of the two operands is a blend, every lane in its place; only the other one has to move lanes.
    """
    half = lanes // 2
    first = [lane % lanes < lanes // 2 for lane in range(LANES)]
    kept = [lane if low else LANES + lane for lane, low in enumerate(first)]
    moved = [lane + half if low else LANES + lane - half for lane, low in enumerate(first)]
    return builder.fadd(
        *(builder.shuffle_vector(x, y, ir.Constant(INTS, pick)) for pick in (kept, moved)),
        flags=FLAGS,
    )


@intrinsic
def store_totals(typing_context, array, first, second, a, b, c, d, e, f, g, h):
    """Writes the sums of the lanes of a to d from index `first` on, those of e to h from `second` on.

    Halvings are shared: 8 sums cost 8 additions where sums of their own would cost 32.
    """

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        sums = list(arguments[3:])
        for lanes in (16, 8, 4):
            sums = [
                halves_added(builder, x, y, lanes)
                for x, y in zip(sums[::2], sums[1::2], strict=True)
            ]
        together = halves_added(builder, sums[0], sums[0], 2)
        for index, lanes in (
            (1, [0, 8, 4, 12]),
            (2, [2, 10, 6, 14]),
        ):  # where the halvings leave the sums
            part = builder.shuffle_vector(
                together, together, ir.Constant(ir.VectorType(INT, 4), lanes)
            )
            target = pointer(
                context, builder, kinds[0], arguments[0], kinds[index], arguments[index]
            )
            builder.store(part, builder.bitcast(target, part.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(array, first, second, *[vector] * 8), codegen


@intrinsic
def where_above(typing_context, value, bound, then, otherwise):
    """Lane by lane, `then` where value > bound, else `otherwise`."""

    def codegen(context, builder, signature, arguments):
        above = builder.fcmp_ordered(">", arguments[0], arguments[1], flags=FLAGS)
        return builder.select(above, arguments[2], arguments[3])

    return vector(vector, vector, vector, vector), codegen


@intrinsic
def nearest(typing_context, value):
    """Each lane rounded to the nearest whole number."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(FLOATS, [FLOATS])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.rint.v{LANES}f32")
        return builder.call(function, arguments)

    return vector(vector), codegen


@intrinsic
def power_of_two(typing_context, value):
    """2 to the power of each lane, a whole number from -126 to 127, by its exponent bits."""

    def codegen(context, builder, signature, arguments):
        exponent = builder.add(builder.fptosi(arguments[0], INTS), ir.Constant(INTS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(INTS, [23] * LANES)), FLOATS)

    return vector(vector), codegen


def define(operation, instruction):
    """Makes an operator work between vectors, and between a vector and a number (a vector is a value: `+=` makes a new one)."""

    @type_callable(operation)
    def resolve(context):
        def result(a, b):
            known = {type(a), type(b)} <= {VectorType, types.Float}
            return vector if known and vector in (a, b) else None

        return result

    def lower(context, builder, signature, arguments):
        lanes = [
            value
            if kind == vector
            else fill(builder, context.cast(builder, value, kind, types.float32))
            for value, kind in zip(arguments, signature.args, strict=True)
        ]
        return getattr(builder, instruction)(*lanes, flags=FLAGS)

    for kinds in ((vector, vector), (vector, types.Float), (types.Float, vector)):
        lower_builtin(operation, *kinds)(lower)


define(operator.add, "fadd")
define(operator.iadd, "fadd")
define(operator.sub, "fsub")
define(operator.mul, "fmul")
define(operator.truediv, "fdiv")
