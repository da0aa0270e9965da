"""What Python itself asks of a tensor: len, iter, bool, int, float, index, format."""

from .namespace import ops
from .tensor import Tensor


def _len(self):
    for size in self.shape:
        return size
    raise TypeError("len() of a 0-d tensor")


def _iter(self):
    if not self.shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(ops.unbind(self, 0))


def _bool(self):
    count = self.shape.numel()
    if count != 1:
        what = "more than one value" if count else "no values"
        raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
    return bool(self.item())


def _int(self):
    return int(_only_element(self))


def _float(self):
    return float(_only_element(self))


def _complex(self):
    return complex(_only_element(self))


def _index(self):
    if self.dtype.is_floating_point or self.shape.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


def _format(self, spec):
    if not self.shape:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def _only_element(t):
    if t.shape.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return t.item()


def attach():
    """Make the built-in functions work on tensors."""
    for function in (_len, _iter, _bool, _int, _float, _complex, _index, _format):
        setattr(Tensor, f"_{function.__name__}__", function)
