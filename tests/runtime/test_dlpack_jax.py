"""Memory shared with JAX through DLPack, where JAX is installed.

XLA takes memory as it is where it is aligned to 64 bytes, and copies it elsewhere.
"""

import gc

import numpy as np
import pytest
import rederive

jax = pytest.importorskip("jax", reason="shares memory with JAX, which is optional")


def aligned(*shape):
    """Float32 numbers that begin at a multiple of 64 bytes."""
    count = int(np.prod(shape))
    memory = np.zeros(4 * count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + 4 * count].view(np.float32).reshape(shape)
    array[...] = np.arange(count).reshape(shape)
    return rederive.from_numpy(array)


@pytest.mark.parametrize("transposed", [False, True])
def test_arrays_come_without_a_copy(transposed):
    array = jax.numpy.arange(6.0).reshape(2, 3)
    array = array.T if transposed else array
    t = rederive.from_dlpack(array, copy=False)
    assert t.data_ptr() == array.unsafe_buffer_pointer()
    assert t.dtype == rederive.float32 and t.tolist() == array.tolist()


@pytest.mark.parametrize("kind", ["float32", "int32", "int16", "int8", "uint8", "bool"])
def test_kinds_of_numbers_come_and_go(kind):
    array = jax.numpy.arange(5).astype(kind)
    t = rederive.from_dlpack(array)
    assert str(t.dtype) == f"rederive.{kind}" and t.tolist() == array.tolist()
    back = jax.dlpack.from_dlpack(t)
    assert back.dtype == kind and back.tolist() == array.tolist()


def test_memory_outlives_the_array_it_came_from():
    t = rederive.from_dlpack(jax.numpy.arange(1000.0))
    gc.collect()
    assert t.sum() == 499500


@pytest.mark.parametrize("part", [np.s_[:], np.s_[:8], np.s_[8:]])
def test_aligned_tensors_go_without_a_copy(part):
    t = aligned(16, 16)[part]
    array = jax.dlpack.from_dlpack(t, copy=False)
    assert array.unsafe_buffer_pointer() == t.data_ptr()
    assert array.tolist() == t.tolist()


def test_a_transposed_tensor_goes_without_a_copy():
    t = aligned(4, 8).T
    array = jax.dlpack.from_dlpack(t, copy=False)
    assert array.unsafe_buffer_pointer() == t.data_ptr() and array.tolist() == t.tolist()


def test_any_tensor_arrives_with_its_values():
    t = aligned(8)[1:]
    assert jax.dlpack.from_dlpack(t).tolist() == t.tolist()
    with pytest.raises(ValueError, match="aligned"):
        jax.dlpack.from_dlpack(t, copy=False)


def test_arrays_become_tensors_and_tensors_arrays():
    t = rederive.as_tensor(jax.numpy.ones(3))
    assert t.tolist() == [1, 1, 1] and t.dtype == rederive.float32
    assert jax.numpy.asarray(t).tolist() == [1, 1, 1]


def test_a_tensor_that_requires_a_gradient_is_refused():
    with pytest.raises(BufferError, match="detach"):
        jax.dlpack.from_dlpack(rederive.ones(3, requires_grad=True))


def test_a_gradient_passes_through_a_function_of_jax():
    """A custom Function whose forward and backward are computed by JAX."""

    class Sine(rederive.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            value, ctx.pull = jax.vjp(jax.numpy.sin, jax.dlpack.from_dlpack(x.detach()))
            return rederive.from_dlpack(value)

        @staticmethod
        def backward(ctx, grad):
            # the gradient of a sum is one number, repeated: JAX wants each element in its place
            return rederive.from_dlpack(ctx.pull(jax.dlpack.from_dlpack(grad.contiguous()))[0])

    x = rederive.tensor([0.0, 1.0], requires_grad=True)
    Sine.apply(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([0.0, 1.0]), rtol=1e-6)
