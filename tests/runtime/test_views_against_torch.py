"""Every view geometry equals PyTorch's: shape, strides, offset, or the kind of error."""

import itertools
import random

import pytest
from rederive import views
from rederive.geometry import Size

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")

BASES = [(), (1,), (4,), (2, 3), (3, 1), (4, 6), (2, 3, 4), (1, 2, 1, 3), (0,), (2, 0, 3)]


def geometry(t):
    return Size(t.shape), tuple(t.stride()), t.storage_offset()


def normal(geometry):
    """Strides of dimensions with one element, or of empty tensors, mean nothing: leave them out."""
    shape, strides, offset = geometry
    if 0 in shape:
        return tuple(shape)
    kept = tuple(s for n, s in zip(shape, strides, strict=True) if n != 1)
    return tuple(shape), kept, offset


def results(outcome):
    return list(outcome) if isinstance(outcome, (list, tuple)) else [outcome]


def compare(t, name, ours, theirs):
    try:
        expected = [normal(geometry(part)) for part in results(theirs(t))]
    except (RuntimeError, IndexError, ValueError) as error:
        with pytest.raises(type(error)):
            getattr(views, name)(*geometry(t), *ours)
        return
    got = getattr(views, name)(*geometry(t), *ours)
    got = got if isinstance(got, list) else [got]
    assert [normal(part) for part in got] == expected, (name, geometry(t), ours)


def tensors(rng):
    """Tensors of many geometries: each base after a few random views."""
    for shape in BASES:
        t = torch.zeros(shape)
        yield t
        for _ in range(3):
            if t.ndim > 1:
                t = t.permute(rng.sample(range(t.ndim), t.ndim))
            if t.ndim:
                dim = rng.randrange(t.ndim)
                t = t[(slice(None),) * dim + (slice(rng.randrange(2), None, rng.choice([1, 2])),)]
            yield t
        yield t.unsqueeze(0).expand(2, *t.shape)


DIMS = range(-3, 4)


def cases(t, rng):
    """(name, our arguments, the same done by PyTorch)."""
    for a in DIMS:
        yield "squeeze", (a,), lambda t, a=a: t.squeeze(a)
        yield "unsqueeze", (a,), lambda t, a=a: t.unsqueeze(a)
        yield "unbind", (a,), lambda t, a=a: t.unbind(a)
        for b in DIMS:
            yield "transpose", (a, b), lambda t, a=a, b=b: t.transpose(a, b)
            yield "select", (a, b), lambda t, a=a, b=b: t.select(a, b)
            yield "movedim", (a, b), lambda t, a=a, b=b: t.movedim(a, b)
            yield "flatten_view", (a, b), lambda t, a=a, b=b: t.view(flat(t, a, b))
            yield "narrow", (0, a, b), lambda t, a=a, b=b: t.narrow(0, a, b)
            yield "diagonal", (a, b, 0), lambda t, a=a, b=b: t.diagonal(a, b, 0)
            yield "unfold", (0, a, b), lambda t, a=a, b=b: t.unfold(0, a, b)
            yield "split", (a, b), lambda t, a=a, b=b: t.split(a, b)
            yield "chunk", (a, b), lambda t, a=a, b=b: t.chunk(a, b)
            yield "tensor_split", (a, b), lambda t, a=a, b=b: t.tensor_split(a, b)
            yield "tensor_split", ([a, b], 0), lambda t, a=a, b=b: t.tensor_split([a, b], 0)
            yield "squeeze", ((a, b),), lambda t, a=a, b=b: t.squeeze((a, b))
    yield "squeeze", (), lambda t: t.squeeze()
    yield "t", (), lambda t: t.t()
    yield "mT", (), lambda t: t.mT
    yield "adjoint", (), lambda t: t.adjoint()
    for sizes in itertools.chain(
        itertools.product((-1, 0, 1, 2, 3, 4), repeat=2), [(), (24,), (-1,), (2, 2, -1), (-2, 3)]
    ):
        yield "view", (sizes,), lambda t, s=sizes: t.view(s)
        if 0 not in sizes or -1 not in sizes:  # there PyTorch makes tensors of a negative size
            yield "expand", (sizes,), lambda t, s=sizes: t.expand(s)
            yield "expand", ((2, *sizes),), lambda t, s=sizes: t.expand(2, *s)
        if sizes:
            yield "unflatten", (0, sizes), lambda t, s=sizes: t.unflatten(0, s)
            yield "split", (sizes, 0), lambda t, s=sizes: t.split(s, 0)
    order = rng.sample(range(t.ndim), t.ndim)
    yield "permute", (order,), lambda t: t.permute(order)
    yield "permute", ([0, 0],), lambda t: t.permute([0, 0])
    for start, end, step in itertools.product((None, -3, 0, 1, 5), (None, -1, 0, 2), (1, 2, 3)):
        yield (
            "slice",
            (0, start, end, step),
            lambda t, s=(start, end, step): torch.ops.aten.slice(t, 0, *s),
        )


def flat(t, start, end):
    """The shape that PyTorch's flatten gives, through a tensor that need not be copied."""
    return torch.empty(t.shape).flatten(start, end).shape


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_view_has_the_geometry_of_torch():
    rng = random.Random(0)
    count = 0
    for t in tensors(rng):
        for name, ours, theirs in cases(t, rng):
            compare(t, name, ours, theirs)
            count += 1
    assert count > 10000
