"""Convolutions: every size class of the kernels, integers, errors, threads, memory read."""

import numpy as np
import pytest
import rederive as rd
from rederive.tools import references

F = rd.nn.functional
RNG = np.random.default_rng(0)


def by_products(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """A convolution as one product for each tap, in float64."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    kernel = weight.shape[2:]
    size = [
        (n - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(x.shape[2:], kernel, strict=True)
    ]
    channels = x.reshape(len(x), groups, -1, *x.shape[2:])
    weights = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:])
    out = 0
    for a, b in np.ndindex(*kernel):
        top, left = a * dilation, b * dilation
        seen = channels[..., top : top + (size[0] - 1) * stride + 1 : stride, :]
        seen = seen[..., left : left + (size[1] - 1) * stride + 1 : stride]
        out = out + np.einsum("goc,ngchw->ngohw", weights[..., a, b], seen)
    return out.reshape(len(x), len(weight), *size)


SIZES = {
    "one image": ((1, 3, 9, 9), (5, 3, 3, 3), {}),
    "many images on several threads": ((40, 3, 12, 13), (7, 3, 5, 5), {}),
    "padded rows": ((9, 8, 28, 28), (12, 8, 3, 3), {"padding": 1}),
    "small planes": ((20, 16, 6, 6), (10, 16, 5, 5), {"padding": 2}),
    "many channels": ((2, 70, 9, 7), (33, 70, 3, 3), {"padding": 1}),
    "small images, stacked": ((5, 40, 7, 7), (14, 40, 3, 3), {"padding": 1}),
    "small images in groups, stacked": ((3, 64, 3, 5), (12, 32, 5, 5), {"groups": 2, "padding": 2}),
    "stride": ((6, 4, 31, 30), (9, 4, 3, 3), {"stride": 2, "padding": 1}),
    "stride above the kernel": ((6, 4, 31, 30), (9, 4, 2, 2), {"stride": 3}),
    "dilation": ((6, 4, 31, 30), (9, 4, 3, 3), {"dilation": 3, "padding": 2}),
    "one by one": ((6, 20, 16, 16), (9, 20, 1, 1), {}),
    "one by one with stride": ((6, 20, 17, 16), (9, 20, 1, 1), {"stride": 2}),
    "depthwise": ((4, 24, 20, 20), (24, 1, 3, 3), {"groups": 24, "padding": 1}),
    "depthwise, side by side, two outputs": (
        (6, 16, 7, 9),
        (32, 1, 5, 5),
        {"groups": 16, "padding": 2, "dilation": 1},
    ),
    "depthwise, rows": ((3, 4, 37, 21), (4, 1, 5, 5), {"groups": 4, "padding": 2}),
    "depthwise, one image": ((1, 5, 7, 40), (10, 1, 3, 2), {"groups": 5}),
    "depthwise, stride": ((3, 5, 13, 38), (15, 1, 3, 3), {"groups": 5, "stride": 2, "padding": 1}),
    "depthwise, stride above the kernel": ((2, 3, 9, 12), (3, 1, 1, 1), {"groups": 3, "stride": 2}),
    "depthwise, stride of three": ((2, 3, 9, 12), (3, 1, 2, 2), {"groups": 3, "stride": 3}),
    "depthwise, padding above the image": (
        (2, 3, 2, 3),
        (3, 1, 3, 3),
        {"groups": 3, "stride": 2, "padding": 5},
    ),
    "groups": ((4, 24, 20, 20), (36, 6, 3, 3), {"groups": 4, "padding": 1}),
    "a kernel as large as the image": ((5, 6, 8, 8), (11, 6, 8, 8), {}),
    "many outputs": ((1, 16, 40, 30), (32, 16, 3, 3), {"padding": 1}),
    "many outputs in groups": (
        (5, 36, 11, 9),
        (68, 18, 3, 2),
        {"groups": 2, "stride": 2, "padding": 2, "dilation": 2},
    ),
    "many outputs, padding above": ((3, 17, 2, 2), (65, 17, 3, 3), {"padding": 5}),
    "padding above the image": ((3, 2, 2, 2), (4, 2, 3, 3), {"padding": 5}),
}


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("case", SIZES)
def test_sizes(case, kind):
    shape, kernel, options = SIZES[case]
    x = rd.from_numpy(RNG.normal(size=shape).astype(kind)).requires_grad_()
    weight = rd.from_numpy(RNG.normal(size=kernel).astype(kind)).requires_grad_()
    bias = rd.from_numpy(RNG.normal(size=kernel[0]).astype(kind)).requires_grad_()
    y = F.conv2d(x, weight, bias, **options)
    wanted = by_products(x.detach().numpy(), weight.detach().numpy(), **options)
    wanted += bias.detach().numpy().astype(np.float64)[:, None, None]
    tolerance = 2e-5 if kind == "float32" else 1e-12
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(y.detach().numpy(), wanted, atol=tolerance * scale)
    grad = RNG.normal(size=y.shape)
    y.backward(rd.from_numpy(grad.astype(kind)))
    # <g, conv(x', w)> is linear in x' and in w': gradients against random directions
    for leaf, other in ((x, None), (weight, 0)):
        along = RNG.normal(size=leaf.shape)
        pair = (along, weight.detach().numpy()) if other is None else (x.detach().numpy(), along)
        left = (by_products(*pair, **options) * grad).sum()
        right = (leaf.grad.numpy().astype(np.float64) * along).sum()
        size = np.abs(leaf.grad.numpy() * along).sum()
        assert abs(left - right) <= tolerance * size
    np.testing.assert_allclose(bias.grad.numpy(), grad.sum((0, 2, 3)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("case", ["many images on several threads", "many channels", "depthwise"])
def test_results_do_not_depend_on_threads(case):
    shape, kernel, options = SIZES[case]
    x = rd.from_numpy(RNG.normal(size=shape).astype(np.float32)).requires_grad_()
    weight = rd.from_numpy(RNG.normal(size=kernel).astype(np.float32)).requires_grad_()
    before = rd.get_num_threads()
    found = []
    try:
        for threads in (before, 1):
            rd.set_num_threads(threads)
            y = F.conv2d(x, weight, **options)
            found.append((y.detach(), *rd.autograd.grad((y * y).sum(), (x, weight))))
    finally:
        rd.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert (one == other).all()


def test_nothing_outside_of_the_image_is_read():
    x = rd.full((3, 2, 7, 9), float("nan"))
    x[1] = 1.0
    y = F.conv2d(x, rd.ones(3, 2, 3, 3), padding=1)
    assert not np.isnan(y[1].numpy()).any()
    assert np.isnan(y[0].numpy()).all()


def test_infinity_spreads_only_to_results_that_see_it():
    x = rd.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = float("inf")
    y = F.conv2d(x, rd.ones(1, 1, 3, 3), padding=1)
    assert (y == float("inf")).sum().item() == 9
    assert not np.isnan(y.numpy()).any()


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_integers(kind):
    x = RNG.integers(0, 5, (2, 4, 5, 6)).astype(kind)
    weight = RNG.integers(0, 5, (6, 2, 3, 2)).astype(kind)
    bias = RNG.integers(0, 5, 6).astype(kind)
    found = F.conv2d(*map(rd.from_numpy, (x, weight, bias)), stride=2, padding=1, groups=2)
    wanted = references.convolution(x, weight, bias, 2, 1, 1, 2)
    assert found.dtype == rd.from_numpy(x).dtype
    np.testing.assert_array_equal(found.numpy(), wanted.astype(kind))


def test_sides_that_cannot_be_halved():
    x = rd.arange(1.0, 6.0).reshape(1, 5)
    weight = rd.tensor([[[1.0, 10.0]]])
    assert F.conv1d(x, weight, padding="same").tolist() == [[21.0, 32.0, 43.0, 54.0, 5.0]]


def test_the_same_function_at_the_top_level():
    x, weight = rd.ones(1, 2, 4, 4), rd.ones(3, 2, 3, 3)
    assert rd.conv2d(x, weight, None, 1, "same", 1, 1).shape == (1, 3, 4, 4)


def test_empty_batches_and_channels():
    assert F.conv2d(rd.ones(0, 2, 4, 4), rd.ones(3, 2, 3, 3)).shape == (0, 3, 2, 2)
    x = rd.ones(0, 2, 4, 4, requires_grad=True)
    weight = rd.ones(3, 2, 3, 3, requires_grad=True)
    F.conv2d(x, weight).sum().backward()
    assert x.grad.shape == (0, 2, 4, 4)
    assert (weight.grad == 0).all()


IMAGE, WEIGHT = rd.ones(2, 4, 5, 6), rd.ones(6, 4, 3, 3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c(IMAGE[0, 0], WEIGHT), r"Expected 3D \(unbatched\) or 4D \(batched\) input"),
        (lambda c: c(IMAGE[:, :3], WEIGHT), r"expected input\[2, 3, 5, 6\] to have 4 channels"),
        (lambda c: c(IMAGE[0, :3], WEIGHT), r"expected input\[1, 3, 5, 6\] to have 4 channels"),
        (lambda c: c(IMAGE, WEIGHT[:5, :2], groups=2), "weight to be divisible by 2 at dimension"),
        (lambda c: c(IMAGE, WEIGHT[:0]), "weight to be at least 1 at dimension 0"),
        (lambda c: c(IMAGE, WEIGHT, groups=0), "non-positive groups is not supported"),
        (lambda c: c(IMAGE, WEIGHT, rd.ones(5)), "bias to be 1-dimensional with 6 elements"),
        (lambda c: c(IMAGE, WEIGHT, stride=0), "non-positive stride is not supported"),
        (lambda c: c(IMAGE, WEIGHT, dilation=0), "non-positive dilation is not supported"),
        (lambda c: c(IMAGE, WEIGHT, padding=-1), "negative padding is not supported"),
        (lambda c: c(IMAGE, WEIGHT, stride=(1, 1, 1)), "expected stride to be a single integer"),
        (lambda c: c(IMAGE, WEIGHT, padding="full"), "Invalid padding string: 'full'"),
        (lambda c: c(IMAGE, WEIGHT, stride=2, padding="same"), "not supported for strided"),
        (lambda c: c(IMAGE, rd.ones(6, 4, 7, 7)), r"\(5 x 6\)\. Kernel size: \(7 x 7\)"),
        (lambda c: c(IMAGE, WEIGHT.to(rd.float64)), "must have the same dtype"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(F.conv2d)


def test_tensors_come_first():
    with pytest.raises(TypeError, match=r"conv2d\(\) received an invalid combination"):
        F.conv2d(None, WEIGHT)
