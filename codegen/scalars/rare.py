# mypy: ignore-errors
"""Calls of the C library for the few arguments that vector code cannot do: text for the generator.

A loop that calls the C library stays scalar. A loop that calls a function which says "this is my
version for eight numbers at a time" does not, and that version may look at its eight numbers, find
that none needs the library, and return. The attribute by which a call says so is LLVM's
"vector-function-abi-variant".
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = (2, 4, 8, 16)


def convention(module):
    """The calling convention: on x86 one by which a call leaves half of the registers alone.

    By the usual one it leaves none alone, so that a loop would bring every constant anew.
    """
    return "intel_ocl_bicc" if module.triple.startswith("x86_64") else ""


def declare_once(module, symbol, kind):
    """(function, whether it is new): a function of numbers that may be merged with its equals."""
    function = cgutils.get_or_insert_function(module, kind, symbol)
    new = function.is_declaration
    if new:
        function.linkage = "linkonce_odr"
        function.calling_convention = convention(module)
        for attribute in ("noinline", "nounwind", "readnone"):
            function.attributes.add(attribute)
    return function, new


def build_one(module, symbol, number, arity):
    """The function of one number: 0 if its first argument is 0, else the C library's `symbol`."""
    kind = ir.FunctionType(number, [number] * arity)
    function, new = declare_once(module, f"rederive_rare_{number}_{symbol}", kind)
    if new:
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        none = builder.fcmp_ordered("==", function.args[0], number(0.0))
        with builder.if_then(none, likely=True):
            builder.ret(number(0.0))
        wide = ir.DoubleType()
        exact = ir.FunctionType(wide, [wide] * arity)
        library = cgutils.get_or_insert_function(module, exact, symbol)
        if number == wide:
            builder.ret(builder.call(library, function.args))
        else:
            arguments = [builder.fpext(argument, wide) for argument in function.args]
            builder.ret(builder.fptrunc(builder.call(library, arguments), number))
    return function


def build_many(module, one, lanes):
    """The same for `lanes` numbers at a time."""
    vector = ir.VectorType(one.args[0].type, lanes)
    kind = ir.FunctionType(vector, [vector] * len(one.args))
    function, new = declare_once(module, f"{one.name}_{lanes}", kind)
    if new:
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        zero = ir.Constant(vector, [0.0] * lanes)
        called = builder.fcmp_unordered("!=", function.args[0], zero)
        mask = builder.bitcast(called, ir.IntType(lanes))
        with builder.if_then(builder.icmp_unsigned("==", mask, mask.type(0)), likely=True):
            builder.ret(zero)
        result = zero
        for lane in range(lanes):
            index = ir.IntType(32)(lane)
            arguments = [builder.extract_element(a, index) for a in function.args]
            value = builder.call(one, arguments, cconv=one.calling_convention)
            result = builder.insert_element(result, value, index)
        builder.ret(result)
    return function


def keep(module, functions):
    """Stop the linker from dropping functions that nothing calls yet; the vectoriser will."""
    assert "llvm.compiler.used" not in module.globals, "one rare call to a function"
    pointer = ir.IntType(8).as_pointer()
    kind = ir.ArrayType(pointer, len(functions))
    used = ir.GlobalVariable(module, kind, "llvm.compiler.used")
    used.linkage = "appending"
    used.section = "llvm.metadata"
    used.initializer = kind([function.bitcast(pointer) for function in functions])


def build_call(builder, symbol, needed, values, otherwise):
    """A call, where `needed`, of the function of one number that tells of the functions of many.

    `otherwise` is the result elsewhere. Both choices are made here, as instructions without a
    branch, so that the first argument is sure to be 0 where no call is needed.
    """
    module = builder.module
    number = otherwise.type
    one = build_one(module, symbol, number, len(values))
    many = [build_many(module, one, lanes) for lanes in LANES]
    keep(module, many)
    first = builder.select(needed, values[0], number(0.0))
    call = builder.call(
        one, [first, *values[1:]], one.calling_convention, attrs=("nounwind", "readnone")
    )
    # llvmlite knows this attribute only as text.
    prefixes = [f"_ZGV_LLVM_N{lanes}{'v' * len(values)}_{one.name}" for lanes in LANES]
    names = [f"{p}({m.name})" for p, m in zip(prefixes, many, strict=True)]
    set.add(call.attributes, f'"vector-function-abi-variant"="{",".join(names)}"')
    return builder.select(needed, call, otherwise)


def rarely(symbol):
    """`symbol` of the C library on a float64, where that is needed, which must not be often."""

    @intrinsic
    def call(typing_context, needed, x, otherwise):
        def generate(context, builder, signature, arguments):
            needed, x, otherwise = arguments
            return build_call(builder, symbol, needed, [x], otherwise)

        return x(types.boolean, x, x), generate

    return call


rare_sin = rarely("sin")

rare_cos = rarely("cos")

rare_tan = rarely("tan")


@intrinsic
def rare_fmod(typing_context, needed, x, y, otherwise):
    """The same for fmod."""

    def generate(context, builder, signature, arguments):
        needed, x, y, otherwise = arguments
        return build_call(builder, "fmod", needed, [x, y], otherwise)

    return x(types.boolean, x, x, x), generate
