"""Deep graphs do not recurse, and memory comes back without the garbage collector."""

import gc
import weakref

import numpy as np
import pytest
import rederive as rd
from processes import python
from rederive.graph import Node


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_million_operations_neither_recurse_nor_leak():
    """In a process of its own, on a stack of 512 kB, with a small recursion limit."""
    held, after, deviation = python(
        """
        import gc, sys, threading
        import rederive as rd

        gc.disable()
        sys.setrecursionlimit(200)
        threading.stack_size(512 * 1024)

        def pages():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1])

        def chain(x, steps):
            for _ in range(steps // 2):
                x = x * 1.0000001
                x = x + 1e-9
            return x

        def work():
            x = rd.ones(4, dtype=rd.float64, requires_grad=True)
            chain(x, 10).sum().backward()
            x.grad = None
            before = pages()
            y = chain(x, 1_000_000)
            held = pages() - before
            y.sum().backward()
            del y
            y = chain(x, 100_000)  # destroyed without a backward pass
            del y
            print(held, pages() - before, abs(x.grad[0].item() / 1.0000001**500_000 - 1))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """
    )
    assert int(held) > 10_000
    assert int(after) < int(held) / 10
    assert float(deviation) < 1e-9


def test_a_deep_graph_with_create_graph_and_inputs(no_collector):
    x = rd.ones(2, dtype=rd.float64, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0001
    (first,) = rd.autograd.grad((y * y).sum(), x, create_graph=True)
    first.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * 1.0001**40_000, rtol=1e-9)


def graph_of(root):
    """Weak references to every node, and to every array that a node saved."""
    nodes, arrays, stack, seen = [], [], [root._grad_fn], set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        nodes.append(weakref.ref(node))
        for value in node.saved or ():
            if isinstance(value, rd.Tensor):
                value = value._data
            if isinstance(value, np.ndarray):
                arrays.append(weakref.ref(value))
        stack += [t for t in node.edges[::2] if isinstance(t, Node)]
    return nodes, arrays


def network(x, w):
    """Every family: pointwise, broadcast, rowwise, view, library, kernel, in place."""
    h = rd.tanh(x @ w) * x.sum(1, keepdim=True)
    h = rd.cat([h, h.t().exp()])
    h = rd.nn.functional.softmax(h * 2.0, 1)
    h = h[1:].clone().mul_(3.0)
    return (h.cumsum(0) * h).sum()


@pytest.mark.parametrize("dtype", [rd.float32, rd.float64])
def test_no_saved_array_lives_after_backward_and_no_node_after_del(no_collector, dtype):
    x = rd.ones(3, 3, dtype=dtype, requires_grad=True)
    w = rd.ones(3, 3, dtype=dtype, requires_grad=True)
    loss = network(x, w)
    nodes, arrays = graph_of(loss)
    own = {id(x._data), id(w._data)}
    arrays = [a for a in arrays if id(a()) not in own]
    assert len(nodes) > 10 and len(arrays) > 4
    loss.backward()
    assert [a().shape for a in arrays if a() is not None] == []
    assert all(n().saved is None for n in nodes)
    del loss
    assert [n() for n in nodes if n() is not None] == []


def test_no_node_lives_after_del_without_backward(no_collector):
    x = rd.ones(3, 3, requires_grad=True)
    loss = network(x, x)
    nodes, _ = graph_of(loss)
    del loss
    assert [n() for n in nodes if n() is not None] == []


def test_no_node_lives_after_a_second_order_backward(no_collector):
    x = rd.rand(3, 3, requires_grad=True)
    loss = rd.tanh(x @ x).sum()
    (first,) = rd.autograd.grad(loss, x, create_graph=True)
    nodes, _ = graph_of(loss)
    more, _ = graph_of(first)
    first.square().sum().backward()
    x.grad = None
    del loss, first
    assert [n() for n in nodes + more if n() is not None] == []


def test_retain_graph_keeps_the_saved_values_until_del(no_collector):
    x = rd.ones(3, 3, requires_grad=True)
    loss = network(x, x)
    nodes, _ = graph_of(loss)
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first.numpy(), rtol=1e-6)
    del loss
    assert [n() for n in nodes if n() is not None] == []


def test_no_node_lives_after_an_error_in_backward(no_collector):
    x = rd.ones(3, requires_grad=True)
    w = rd.ones(3)
    loss = (x * w).sum()
    nodes, _ = graph_of(loss)
    w.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        loss.backward()
    del loss, caught
    assert [n() for n in nodes if n() is not None] == []
    assert rd.is_grad_enabled()
