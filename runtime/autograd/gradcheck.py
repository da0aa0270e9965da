"""Checks of gradients against differences: `gradcheck` and `gradgradcheck`.

Both compare whole Jacobians, or with `fast_mode` random projections of them, and then ask for
what else must hold of gradients. Random numbers come from a generator of their own with a fixed
seed: a failure repeats.
"""

from __future__ import annotations

import numpy as np

from ..factories import zeros_like
from ..tensor import Tensor, from_array
from . import gradcheck_comparison as comparison
from . import gradcheck_probes as probes
from . import jacobians as jac
from .grad_mode import enable_grad
from .gradcheck_case import SEED, Case, GradcheckError, is_source

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Whether the gradients of `func` agree with central differences; GradcheckError if not.

    Parameters
    ----------
    func : callable
        Takes `inputs`, gives a Tensor or a tuple of them; must be deterministic.
    inputs : Tensor or sequence
        Those with `requires_grad` are checked; they should be float64, and must not overlap.
        Their memory is changed during the check and restored.
    eps : float
        How far an element is moved each way.
    atol, rtol : float
        |analytical - numerical| must be at most atol + rtol * |numerical|. The defaults are
        PyTorch's and let an error of 0.1 % pass; a formula in float64 stands rtol=1e-6.
    raise_exception : bool
        Otherwise a failure gives False. What `func` itself raises is raised in any case.
    nondet_tol : float
        By how much the gradients of two equal backward passes may differ.
    check_undefined_grad : bool
        Gradients of outputs and tangents of inputs may be undefined, and then count as zeros.
    check_grad_dtypes : bool
        Gradients must have the dtype of their input, tangents that of their output.
    check_batched_grad : bool
        `autograd.grad` with `is_grads_batched` must give what single gradients give.
    check_batched_forward_grad : bool
        Several tangents in one level of forward mode must give what each gives in its own.
    check_forward_ad, check_backward_ad : bool
        Which modes to check.
    fast_mode : bool
        Compare random projections of each Jacobian instead of all elements. On a failure the
        elements are computed for the message.
    masked : ignored
        There are no sparse tensors.
    """
    _require(
        check_forward_ad or check_backward_ad,
        "Expected at least one of check_forward_ad or check_backward_ad to be True",
    )
    _require(
        check_backward_ad or not check_batched_grad,
        "Setting check_batched_grad=True requires check_backward_ad to be True",
    )
    _require(
        check_forward_ad or not check_batched_forward_grad,
        "Setting check_batched_forward_grad=True requires check_forward_ad to be True",
    )
    try:
        with enable_grad():
            case = Case(func, _tuple(inputs), eps, atol, rtol)
            if not case.outputs:
                comparison.compare_constant(case, fast_mode, nondet_tol)
                return True
            before = check_backward_ad and _first(
                case, nondet_tol, check_undefined_grad, check_grad_dtypes
            )
            modes = {"reverse": check_backward_ad, "forward": check_forward_ad}
            modes = [mode for mode, wanted in modes.items() if wanted]
            compare = comparison.compare_projections if fast_mode else comparison.compare_jacobians
            compare(case, modes, check_undefined_grad)
            if check_forward_ad:
                _more_of_forward(
                    case, check_undefined_grad, check_grad_dtypes, check_batched_forward_grad
                )
            if check_backward_ad:
                _more_of_backward(case, *before, check_batched_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _require(condition, message):
    if not condition:
        raise AssertionError(message)


def _tuple(values):
    return (values,) if isinstance(values, Tensor) else tuple(values)


def _first(case, nondet_tol, undefined, dtypes):
    """What is looked at before numbers are: gradients that must be zero, to be judged later.

    A wrong number shall be told before what follows from it, but a backward pass that raises, or
    that does not repeat, has no numbers.
    """
    zeros = probes.zero_gradients(case)
    nothing = probes.undefined_gradients(case) if undefined else []
    if dtypes:
        probes.expect_dtypes(case)
    probes.expect_repetition(case, nondet_tol)
    return zeros, nothing


def _more_of_backward(case, zeros, nothing, batched):
    if batched:
        probes.expect_batches(case)
    probes.expect_zeros(zeros, probes.NOT_MULTIPLIED)
    probes.expect_zeros(nothing, probes.UNDEFINED_NOT_ZERO)
    probes.expect_linearity(case)


def _more_of_forward(case, undefined, dtypes, batched):
    if undefined:
        probes.expect_undefined_tangents(case)
    if dtypes:
        probes.expect_tangent_dtypes(case)
    if batched:
        probes.expect_tangent_batches(case)


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """Whether the second derivatives of `func` agree with differences of its gradients.

    The gradients are checked as functions of `inputs` and of `grad_outputs`, which come after
    the inputs in the numbering of messages. By default `grad_outputs` are random;
    `gen_non_contig_grad_outputs` makes them strided. `check_fwd_over_rev` takes the second
    derivative by forward mode, `check_rev_over_rev` by reverse mode. The rest is as for
    `gradcheck`.
    """
    _require(
        check_fwd_over_rev or check_rev_over_rev,
        "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True",
    )
    for name, wanted in (
        ("check_undefined_grad", check_undefined_grad),
        ("check_batched_grad", check_batched_grad),
    ):
        _require(
            check_rev_over_rev or not wanted,
            f"Setting {name}=True requires check_rev_over_rev to be True",
        )
    inputs = _tuple(inputs)
    with enable_grad():
        outputs = jac.tensors_of(func(*inputs))
    positions = jac.differentiable(outputs)
    if grad_outputs is None:
        generator = np.random.default_rng(SEED)
        grad_outputs = [
            _random_like(outputs[i], generator, gen_non_contig_grad_outputs) for i in positions
        ]
    grad_outputs = _tuple(grad_outputs)
    return gradcheck(
        _gradients_of(func, len(inputs), positions),
        inputs + grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _gradients_of(func, count, positions):
    """A function of `count` inputs and the gradients of the outputs at `positions`."""

    def gradients(*arguments):
        from . import grad

        with enable_grad():
            results = jac.tensors_of(func(*arguments[:count]))
            sources = [a for a in arguments[:count] if is_source(a)]
            found = grad(
                [results[i] for i in positions],
                sources,
                arguments[count:],
                create_graph=True,
                allow_unused=True,
            )
        return tuple(zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True))

    return gradients


def _random_like(t, generator, strided):
    """A random tensor of the shape and dtype of `t` that requires gradients."""
    shape = tuple(t.shape)
    if strided:
        wide = generator.standard_normal((*shape, 2)).astype(t.dtype.numpy)
        return from_array(wide[..., 0]).requires_grad_()
    numbers = np.asarray(generator.standard_normal(shape), t.dtype.numpy)
    return from_array(numbers).requires_grad_()
