"""The printed form of a tensor, which is PyTorch's to the character, and its options."""

import contextlib
import math

import numpy as np

from . import dtypes
from .graph import Nowhere
from .modes import modes
from .tensor import Tensor
from .view_marks import shown_name

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_text"]

_profiles = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


class _Options:
    """What `set_printoptions` sets."""

    __slots__ = ("edgeitems", "linewidth", "precision", "sci_mode", "threshold")

    def __init__(self):
        self.sci_mode = None
        self.update(_profiles["default"])

    def update(self, values):
        for name, value in values.items():
            setattr(self, name, value)

    def values(self):
        return {name: getattr(self, name) for name in self.__slots__}


_options = _Options()


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
):
    """Set how tensors are printed; what is not given stays, except `sci_mode`.

    precision: digits after the point. threshold: more elements than this are summarised, showing
    `edgeitems` at each end of a dimension. linewidth: characters in a line. profile: "default",
    "short" or "full", applied first. sci_mode: True, False, or None to choose by the values.
    """
    if profile is not None:
        if profile not in _profiles:
            raise ValueError(
                f"set_printoptions: profile is {profile!r}; one of {', '.join(_profiles)} is needed"
            )
        _options.update(_profiles[profile])
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options.update({name: value for name, value in given.items() if value is not None})
    _options.sci_mode = sci_mode


def get_printoptions():
    """The options in force, as a dict."""
    return _options.values()


@contextlib.contextmanager
def printoptions(**kwargs):
    """`set_printoptions` for the length of a `with` block."""
    before = _options.values()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        _options.update(before)


# --- numbers -------------------------------------------------------------------------------


class _Format:
    """How the numbers of one tensor are written: all alike and padded to one width."""

    __slots__ = ("integral", "scientific", "spec", "width")

    def __init__(self, array):
        self.integral = True
        self.scientific = False
        self.spec = None
        self.width = 1
        if array.dtype.kind == "f":
            self._choose(array.astype(np.float64).ravel())
        elif array.dtype.kind == "b":
            self.width = 4 if array.all() else 5
        elif array.size:
            self.width = max(len(str(array.min())), len(str(array.max())))

    def _choose(self, values):
        """Plain, integral or scientific: by the finite numbers other than zero."""
        values = values[np.isfinite(values) & (values != 0)]
        precision = _options.precision
        if values.size:
            sizes = np.abs(values)
            smallest, largest = sizes.min(), sizes.max()
            self.integral = bool((values == np.ceil(values)).all())
            self.scientific = _options.sci_mode
            if self.scientific is None:
                with np.errstate(over="ignore"):
                    ratio = largest / smallest
                self.scientific = bool(ratio > 1000 or largest > 1e8 or smallest < 1e-4)
        if self.scientific:
            self.spec = f".{precision}e"
        else:
            self.spec = ".0f" if self.integral else f".{precision}f"
        if values.size:
            # the longest text is that of an extreme, or, with an exponent, of any number
            some = values.tolist() if self.scientific else [values.min(), values.max()]
            point = self.integral and not self.scientific
            self.width = max(len(format(value, self.spec)) for value in some) + point

    def __call__(self, value):
        if self.spec is None:
            text = str(value)
        else:
            text = format(value, self.spec)
            if self.integral and not self.scientific and math.isfinite(value):
                text += "."
        return text.rjust(self.width)


# --- brackets ------------------------------------------------------------------------------


def _edges(array):
    """`array` with only the ends of each long dimension: what a summary shows."""
    edge = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            kept = [*range(edge), *range(size - edge, size)]
            array = np.take(array, kept, axis=axis)
    return array


def _vector(array, indent, summarize, form):
    """A one-dimensional array in brackets, broken into lines."""
    edge = _options.edgeitems
    per_line = max(1, math.floor((_options.linewidth - indent) / (form.width + 2)))
    if summarize and not edge:
        items = ["..."]
    elif summarize and len(array) > 2 * edge:
        items = [form(v) for v in array[:edge].tolist()]
        items.append(" ...")
        items += [form(v) for v in array[-edge:].tolist()]
    else:
        items = [form(v) for v in array.tolist()]
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array, indent, summarize, form):
    """An array in brackets, one level for each dimension."""
    if array.ndim == 0:
        return form(array.item())
    if array.ndim == 1:
        return _vector(array, indent, summarize, form)
    edge = _options.edgeitems
    if summarize and len(array) > 2 * edge:
        parts = [_nested(row, indent + 1, summarize, form) for row in array[:edge]]
        parts.append("...")
        if edge:
            parts += [_nested(row, indent + 1, summarize, form) for row in array[-edge:]]
    else:
        parts = [_nested(row, indent + 1, summarize, form) for row in array]
    between = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _with_suffixes(text, suffixes, indent):
    """`text` with the suffixes after commas, on a new line where they would be too long."""
    width = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if width + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            width = indent + len(suffix)
        else:
            text += ", " + suffix
            width += len(suffix) + 2
    return text + ")"


def tensor_text(t, indent=0):
    """The text of `repr(t)`, for a place `indent` characters into a line."""
    prefix = "tensor("
    indent += len(prefix)
    suffixes = []
    shape = t.shape
    empty = 0 in shape
    default = dtypes.default.dtype
    if empty:
        if len(shape) != 1:
            suffixes.append(f"size={tuple(shape)}")
        text = "[]"
    else:
        array = t._nd()
        summarize = array.size > _options.threshold
        form = _Format(_edges(array) if summarize else array)
        text = _nested(array, indent, summarize, form)
    # without elements to look at, int64 and bool cannot be told from the default
    if t.dtype is not default and (empty or t.dtype not in (dtypes.int64, dtypes.bool_)):
        suffixes.append(f"dtype={t.dtype}")
    if t._grad_fn is not None and type(t._grad_fn) is not Nowhere:
        suffixes.append(f"grad_fn=<{shown_name(t._grad_fn)}>")
    elif t._requires_grad:
        suffixes.append("requires_grad=True")
    if modes.dual_level >= 0:
        from .autograd.forward_ad import tangent_of

        tangent = tangent_of(t)
        if tangent is not None:
            suffixes.append(f"tangent={tensor_text(tangent)}")
    return _with_suffixes(prefix + text, suffixes, indent)


def _repr(self):
    parameter = getattr(self, "_role", None) == "parameter"
    return "Parameter containing:\n" * parameter + tensor_text(self)


Tensor.__repr__ = _repr
