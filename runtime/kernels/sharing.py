"""The items of a kernel shared out among threads.

A parallel loop of Numba is compiled five times over, together with all that it calls. So there is
one, small loop for all kernels here, which knows them by their addresses.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, prange, typeof, types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.extending import intrinsic

from ..threads import get_num_threads

_options = {"cache": True, "nogil": True}
_NUMBER = ir.IntType(64)
_ADDRESS = ir.IntType(8).as_pointer()
_CALLED = ir.FunctionType(_NUMBER, [_ADDRESS, _NUMBER, _NUMBER])

_addresses = {}  # of compiled kernels, by the kernel and what tells the types of its arguments


@intrinsic
def _caller(typingctx, address, arguments):
    """(caller, frame): addresses of a function, and of what it reads.

    `caller(frame, low, high)` calls the kernel at `address` with the arguments, low and high, and
    returns 1 if that fails. The frame is gone once the function is left in which this stands.
    """
    kinds = (*arguments, types.int64, types.int64)

    def generate(context, builder, signature, given):
        values = cgutils.unpack_tuple(builder, given[1])
        frame = cgutils.alloca_once_value(
            builder, cgutils.pack_struct(builder, [given[0], *values])
        )
        caller = ir.Function(
            builder.module, _CALLED, builder.module.get_unique_name("call_with_frame")
        )
        caller.linkage = "internal"
        inside = ir.IRBuilder(caller.append_basic_block())
        held = inside.load(inside.bitcast(caller.args[0], frame.type))
        found, *values = cgutils.unpack_tuple(inside, held)
        kernel = context.call_conv.get_function_type(types.none, kinds).as_pointer()
        status, _ = context.call_conv.call_function(
            inside,
            inside.inttoptr(found, kernel),
            types.none,
            kinds,
            [*values, *caller.args[1:]],
        )
        inside.ret(inside.zext(status.is_error, _NUMBER))
        pair = [builder.ptrtoint(value, _NUMBER) for value in (caller, frame)]
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(types.int64, 2)(address, arguments), generate


@intrinsic
def _call(typingctx, caller, frame, low, high):
    """What the function at an address returns for a frame and a range of items."""

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], _CALLED.as_pointer())
        return builder.call(function, [builder.inttoptr(arguments[1], _ADDRESS), *arguments[2:]])

    return types.int64(caller, frame, low, high), generate


@njit(**_options, parallel=True)
def _for_all(caller, frame, items, shares):
    """How many of the shares failed."""
    failed = 0
    for share in prange(shares):
        low, high = share * items // shares, (share + 1) * items // shares
        failed += _call(caller, frame, low, high)
    return failed


@njit(**_options)
def _run(address, arguments, items, shares):
    caller, frame = _caller(address, arguments)
    return _for_all(caller, frame, items, shares)


def run_items(kernel, arguments, items, large, each=4):
    """`kernel(*arguments, low, high)` for all items, in one call or by all threads.

    large: whether there is work enough for several threads; each: shares for one of them.
    """
    if large and items > 1:
        share(kernel, arguments, items, min(items, each * get_num_threads()))
    else:
        kernel(*arguments, 0, items)


def share(kernel, arguments, items, shares):
    """`kernel(*arguments, low, high)` for all items, in so many shares, on several threads.

    kernel: a compiled function that returns nothing. What it raises becomes a MemoryError: nothing
    else is raised by kernels, whose callers look at what they give them.
    """
    key = kernel, compute_fingerprint(arguments)
    address = _addresses.get(key)
    if address is None:
        address = _addresses[key] = _address(kernel, arguments)
    if _run(address, arguments, items, shares):
        raise MemoryError(f"{kernel.py_func.__name__}: no memory is left for what it needs")


def _address(kernel, arguments):
    # what starts Numba's threads when the loop comes from the cache, which `_run` alone does not
    _for_all.compile((types.int64,) * 4)
    signature = (*map(typeof, arguments), types.int64, types.int64)
    kernel.compile(signature)
    compiled = kernel.overloads[signature]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
