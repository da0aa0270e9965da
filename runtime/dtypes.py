"""The dtype objects, how they mix (promotion), and their numeric limits.

Owns the table of element types and the default dtype. It does not know tensors: `result_type`
looks only at the attributes `dtype` and `shape` of what it is given.
"""

import builtins
import numbers

import numpy as np

BOOLEAN, INTEGRAL, FLOATING = 0, 1, 2


class dtype:
    """An element type. One object each exists, so `is` compares them."""

    __slots__ = ("category", "is_floating_point", "is_signed", "itemsize", "name", "numpy")

    is_complex = False

    def __init__(self, name):
        self.name = name
        self.numpy = np.dtype(name)
        kind = self.numpy.kind
        self.is_floating_point = kind == "f"
        self.is_signed = kind in "fi"
        self.itemsize = self.numpy.itemsize
        self.category = {"b": BOOLEAN, "u": INTEGRAL, "i": INTEGRAL, "f": FLOATING}[kind]

    def __repr__(self):
        return "rederive." + self.name

    def __reduce__(self):
        return (by_name, (self.name,))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


float32 = dtype("float32")
float64 = dtype("float64")
int64 = dtype("int64")
int32 = dtype("int32")
int16 = dtype("int16")
int8 = dtype("int8")
uint8 = dtype("uint8")
bool_ = dtype("bool")

all_dtypes = (bool_, uint8, int8, int16, int32, int64, float32, float64)
names = {d.name: d for d in all_dtypes}

# The fast dictionary: NumPy's dtype objects hash and compare quickly.
of_numpy = {d.numpy: d for d in all_dtypes}
of_python = {builtins.bool: bool_, builtins.int: int64, builtins.float: float64}


def by_name(name):
    """The dtype called `name`, such as "float32"."""
    return names[name]


def from_numpy_dtype(numpy_dtype):
    """The dtype with the same elements as `numpy_dtype`; TypeError names those supported."""
    found = of_numpy.get(numpy_dtype)
    if found is not None:
        return found
    supported = ", ".join(d.name for d in reversed(all_dtypes))
    found = np.dtype(numpy_dtype)
    if found.newbyteorder("=") in of_numpy:
        raise TypeError(
            f"dtype: {found!r} is not in this machine's byte order; "
            "convert it with array.astype(array.dtype.newbyteorder('='))"
        )
    raise TypeError(
        f"can't convert np.ndarray of type {found.type.__module__}.{found.type.__name__}. "
        f"The only supported types are: {supported}."
    )


def as_dtype(value, where):
    """`value` as a dtype: a dtype, or Python's bool, int or float. `where` names the caller."""
    if type(value) is dtype:
        return value
    try:
        return of_python[value]
    except (KeyError, TypeError):
        raise TypeError(
            f"{where}(): argument 'dtype' must be rederive.dtype, not {type(value).__name__}"
        ) from None


# --- the default dtype ---------------------------------------------------------------------


class _Default:
    """Holds the default floating dtype; read as `default.dtype` where speed counts."""

    __slots__ = ("dtype",)

    def __init__(self):
        self.dtype = float32


default = _Default()


def get_default_dtype():
    """The dtype given to Python floats: float32 unless it was changed."""
    return default.dtype


def set_default_dtype(d):
    """Make `d`, a floating dtype, the one given to Python floats."""
    if type(d) is not dtype and of_python.get(d) is None:
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    d = as_dtype(d, "set_default_dtype")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    default.dtype = d


# --- promotion -----------------------------------------------------------------------------


def _promote(a, b):
    """The smallest of our dtypes that holds both: the lattice of PyTorch."""
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    # uint8 with a signed integer: at least 16 bits are needed
    signed = a if a.is_signed else b
    return int16 if signed.itemsize == 1 else signed


promotions = {(a, b): _promote(a, b) for a in all_dtypes for b in all_dtypes}


def promote_types(type1, type2):
    """The smallest dtype to which both can be converted."""
    try:
        return promotions[type1, type2]
    except (KeyError, TypeError):
        return promotions[as_dtype(type1, "promote_types"), as_dtype(type2, "promote_types")]


def can_cast(from_, to):
    """Whether promotion rules allow `from_` to become `to`: never to a lower category."""
    from_, to = as_dtype(from_, "can_cast"), as_dtype(to, "can_cast")
    if from_.is_signed and not to.is_signed and to is not bool_:
        return from_.category < to.category
    return from_.category <= to.category


def scalar_dtype(value):
    """The dtype a Python or NumPy scalar has among tensors: floats get the default dtype."""
    if isinstance(value, (builtins.bool, np.bool_)):
        return bool_
    if isinstance(value, numbers.Integral):
        return int64
    if isinstance(value, numbers.Real):
        return default.dtype
    raise TypeError(
        f"result_type: got {type(value).__name__}; tensors and real numbers are what it takes"
    )


def result_type(*operands):
    """The dtype of arithmetic on `operands`, which are tensors or scalars.

    A 0-d tensor decides only if its category (bool, integer, floating) is above that of every
    tensor with dimensions, and a Python scalar only if it is above every tensor's.
    """
    levels = [None, None, None]  # with dimensions, 0-d, Python scalar
    for operand in operands:
        own = getattr(operand, "dtype", None)
        if type(own) is dtype:
            level = 0 if operand.shape else 1
        else:
            own, level = scalar_dtype(operand), 2
        held = levels[level]
        levels[level] = own if held is None else promotions[held, own]
    result = None
    for own in levels:
        if own is not None and (result is None or own.category > result.category):
            result = own
    if result is None:
        raise TypeError("result_type: got nothing; at least one tensor or scalar is required")
    return result


# --- limits --------------------------------------------------------------------------------


class finfo:
    """Limits of a floating dtype (the default one if none is given)."""

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type=None):
        d = default.dtype if type is None else as_dtype(type, "finfo")
        if not d.is_floating_point:
            raise TypeError(
                "rederive.finfo() requires a floating point input type. "
                f"Use rederive.iinfo to handle '{d}'"
            )
        limits = np.finfo(d.numpy)
        self.bits = limits.bits
        self.dtype = d.name
        for name in ("eps", "max", "min", "resolution", "smallest_normal", "tiny"):
            setattr(self, name, builtins.float(getattr(limits, name)))

    def __repr__(self):
        fields = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = ", ".join(f"{name}={getattr(self, name):g}" for name in fields)
        return f"finfo({shown}, dtype={self.dtype})"


class iinfo:
    """Limits of an integer dtype."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type):
        d = as_dtype(type, "iinfo")
        if d.category == FLOATING:
            raise TypeError(
                "rederive.iinfo() requires an integer input type. "
                f"Use rederive.finfo to handle '{d}'"
            )
        if d.category == BOOLEAN:
            raise TypeError("rederive.bool is not supported by rederive.iinfo")
        limits = np.iinfo(d.numpy)
        self.bits = limits.bits
        self.dtype = d.name
        self.max, self.min = builtins.int(limits.max), builtins.int(limits.min)

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# The public short names. They hide Python's own from here on, so they stand last and the code
# above says `builtins.` where it means Python's.
float = float32
double = float64
long = int64
int = int32
short = int16
bool = bool_
