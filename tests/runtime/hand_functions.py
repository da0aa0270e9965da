"""Custom Functions made in one line, right and wrong ones, for tests of the checker."""

import numpy as np
import pytest
from hand_nodes import leaf
from rederive.autograd import Function

FAST = pytest.mark.parametrize("fast_mode", [False, True])


def made(forward, backward, materialize=True, **members):
    """A Function that saves its inputs; `backward(grad, *inputs)`."""

    def call(ctx, *inputs):
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(materialize)
        return forward(*inputs)

    def back(ctx, *grads):
        return backward(*grads, *ctx.saved_tensors)

    members = {name: staticmethod(f) for name, f in members.items()}
    members |= {"forward": staticmethod(call), "backward": staticmethod(back)}
    return type("Made", (Function,), members).apply


def tensor(*shape, seed=0):
    """A random float64 leaf."""
    return leaf(np.random.default_rng(seed).standard_normal(shape))
