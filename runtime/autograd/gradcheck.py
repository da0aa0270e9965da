"""Checks of gradients against differences: `gradcheck` and `gradgradcheck`.

Both compare whole Jacobians, or with `fast_mode` one random projection of each. Random numbers
come from a generator of their own with a fixed seed: a failure repeats.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..factories import zeros_like
from ..tensor import Tensor, from_array
from . import jacobians as jac
from .grad_mode import enable_grad

SEED = 20240229


class GradcheckError(RuntimeError):
    """A gradient is wrong; raised by `gradcheck` and `gradgradcheck`."""


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
        Those with `requires_grad` are checked; they should be float64. Their memory is changed
        during the check and restored.
    eps : float
        How far an element is moved each way.
    atol, rtol : float
        |analytical - numerical| must be at most atol + rtol * |numerical|. The defaults are
        PyTorch's and let an error of 0.1 % pass; a formula in float64 stands rtol=1e-6.
    raise_exception : bool
        Otherwise a failure gives False.
    nondet_tol : float
        By how much the gradients of two equal backward passes may differ.
    check_undefined_grad : bool
        Leave the gradients of other outputs undefined in a backward pass; zeros otherwise.
    check_grad_dtypes : bool
        Gradients must have the dtype of their input.
    check_batched_grad : bool
        `autograd.grad` with `is_grads_batched` must give what single gradients give.
    check_batched_forward_grad : bool
        There are no batches of tangents: NotImplementedError.
    check_forward_ad, check_backward_ad : bool
        Which modes to check.
    fast_mode : bool
        Compare one random projection of each Jacobian instead of all elements.
    masked : ignored
        There are no sparse tensors.
    """
    if check_batched_forward_grad:
        if not check_forward_ad:
            raise ValueError(
                "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
            )
        raise NotImplementedError(
            "gradcheck: check_batched_forward_grad needs tangents in batches, which do not exist; "
            "leave it out"
        )
    if check_batched_grad and not check_backward_ad:
        raise ValueError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if not (check_forward_ad or check_backward_ad):
        raise ValueError(
            "Expected at least one of check_forward_ad and check_backward_ad to be True"
        )
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    try:
        check = _Check(func, inputs, eps, atol, rtol)
        check.run(
            check_backward_ad,
            check_forward_ad,
            fast_mode,
            not check_undefined_grad,
            nondet_tol,
            check_grad_dtypes,
            check_batched_grad,
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


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
    masked=None,
):
    """Whether the second derivatives of `func` agree with differences of its gradients.

    The gradients are checked as functions of `inputs` and of `grad_outputs`, which come after
    the inputs in the numbering of messages. By default `grad_outputs` are random;
    `gen_non_contig_grad_outputs` makes them strided. The rest is as for `gradcheck`.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    with enable_grad():
        outputs = jac.tensors_of(func(*inputs))
    positions = jac.differentiable(outputs)
    if grad_outputs is None:
        generator = np.random.default_rng(SEED)
        grad_outputs = [
            _random_like(outputs[i], generator, gen_non_contig_grad_outputs) for i in positions
        ]
    grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    count = len(inputs)

    def gradients(*arguments):
        from . import grad

        with enable_grad():
            results = jac.tensors_of(func(*arguments[:count]))
            sources = [a for a in arguments[:count] if _is_source(a)]
            found = grad(
                [results[i] for i in positions],
                sources,
                arguments[count:],
                create_graph=True,
                allow_unused=True,
            )
        return tuple(zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True))

    return gradcheck(
        gradients,
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


def _random_like(t, generator, strided):
    """A random tensor of the shape and dtype of `t` that requires gradients."""
    shape = tuple(t.shape)
    if strided:
        wide = generator.standard_normal((*shape, 2)).astype(t.dtype.numpy)
        return from_array(wide[..., 0]).requires_grad_()
    numbers = np.asarray(generator.standard_normal(shape), t.dtype.numpy)
    return from_array(numbers).requires_grad_()


def _is_source(value):
    return isinstance(value, Tensor) and value.requires_grad


class _Check:
    """One function at one point: its outputs, and what to compare their derivatives with."""

    def __init__(self, func, inputs, eps, atol, rtol):
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.indices = [i for i, value in enumerate(inputs) if _is_source(value)]
        self.sources = [inputs[i] for i in self.indices]
        _check_inputs(self.indices, self.sources)
        self.generator = np.random.default_rng(SEED)
        self.at = 0

    def run(self, backward, forward, fast, with_zeros, nondet_tol, check_dtypes, batched):
        """Compare everything asked for; GradcheckError at the first difference."""
        with enable_grad():
            outputs = jac.tensors_of(self.func(*self.inputs))
            self.positions = jac.differentiable(outputs)
            self.outputs = [outputs[i] for i in self.positions]
            if not self.outputs:
                self._check_constant(outputs)
                return
            self.names = [o.grad_fn.name() if o.grad_fn else "leaf" for o in self.outputs]
            try:
                compare = self._compare_projections if fast else self._compare_jacobians
                compare(backward, forward, with_zeros)
                if backward:
                    self._check_twice(nondet_tol, check_dtypes)
                if batched:
                    self._check_batches()
            except jac.WrongShape as error:
                j, got, wanted = error.args
                raise GradcheckError(
                    f"gradcheck: {self.names[self.at]}: the gradient of input {self.indices[j]} "
                    f"has shape {got}; it must have the shape of the input, {wanted}"
                ) from None

    def _compare_jacobians(self, backward, forward, with_zeros):
        found = {}
        if backward:
            for k in range(len(self.outputs)):
                self.at = k
                found[k] = jac.analytical(self.outputs, self.sources, k, with_zeros)
            self._compare_joint(found)
        for j, index in enumerate(self.indices):
            expected = jac.numerical(self.func, self.inputs, index, self.positions, self.eps)
            for k, numbers in enumerate(expected):
                if backward:
                    self._compare("Jacobian mismatch", k, j, found[k][j], numbers)
            if forward:
                tangents = jac.forward(self.func, self.inputs, index, self.positions)
                what = "Jacobian computed with forward mode mismatch"
                for k, numbers in enumerate(expected):
                    self._compare(what, k, j, tangents[k], numbers)

    def _compare(self, what, k, j, got, expected):
        """Raise with the largest deviation if two Jacobians of output k for source j differ."""
        with np.errstate(invalid="ignore"):
            deviation = np.abs(got - expected)
            allowed = self.atol + self.rtol * np.abs(expected)
            fine = (deviation <= allowed) | (got == expected)
        if fine.all():
            return
        excess = np.where(np.isnan(deviation), np.inf, deviation)
        row, column = np.unravel_index(np.argmax(np.where(fine, -1.0, excess)), excess.shape)
        source, output = self.sources[j], self.outputs[k]
        raise GradcheckError(
            f"{what} for output {self.positions[k]} with respect to input {self.indices[j]}, "
            f"{self.names[k]}: the largest deviation is at element "
            f"{_element(row, source.shape)} of the input and element "
            f"{_element(column, output.shape)} of the output: numerical "
            f"{expected[row, column]:.9g}, analytical {got[row, column]:.9g} (atol={self.atol:g}, "
            f"rtol={self.rtol:g}); {(~fine).sum()} of {fine.size} elements are wrong"
        )

    def _compare_projections(self, backward, forward, with_zeros):
        normal = self.generator.standard_normal
        ones = [normal(o.numel()) for o in self.outputs]
        for j, index in enumerate(self.indices):
            source = self.sources[j]
            v = normal(tuple(source.shape))
            v /= max(np.linalg.norm(v), 1e-300)
            along = jac.numerical_along(self.func, self.inputs, index, v, self.positions, self.eps)
            for k, numbers in enumerate(along):
                u = ones[k] / max(np.linalg.norm(ones[k]), 1e-300)
                scale = np.abs(u).sum() * np.abs(v).sum()
                if backward:
                    self.at = k
                    given = [np.zeros(o.numel()) if with_zeros else None for o in self.outputs]
                    given[k] = u
                    flat, _ = jac.reverse(self.outputs, self.sources, given)
                    self._compare_numbers("reverse", k, j, flat[j] @ v.ravel(), u @ numbers, scale)
                if forward:
                    tangent = jac.forward_along(self.func, self.inputs, index, v, self.positions)
                    self._compare_numbers("forward", k, j, u @ tangent[k], u @ numbers, scale)

    def _compare_numbers(self, mode, k, j, got, expected, scale):
        if abs(got - expected) <= self.atol * scale + self.rtol * abs(expected):
            return
        raise GradcheckError(
            f"Jacobian mismatch for output {self.positions[k]} with respect to input "
            f"{self.indices[j]}, {self.names[k]}: a random projection of the Jacobian is "
            f"numerical {expected:.9g}, analytical {got:.9g} in {mode} mode; run with "
            "fast_mode=False to see which elements are wrong"
        )

    def _random_cotangents(self):
        return [self.generator.standard_normal(o.numel()) for o in self.outputs]

    def _compare_joint(self, found):
        """Random gradients of all outputs at once must give the same as the Jacobians."""
        cotangents = self._random_cotangents()
        flat, _ = jac.reverse(self.outputs, self.sources, cotangents)
        for j, got in enumerate(flat):
            expected = sum(found[k][j] @ u for k, u in enumerate(cotangents))
            with np.errstate(invalid="ignore"):
                fine = np.isclose(got, expected, rtol=self.rtol, atol=self.atol, equal_nan=True)
            if not fine.all():
                raise GradcheckError(
                    f"gradcheck: {', '.join(self.names)}: the gradient of input {self.indices[j]} "
                    "is not linear in the gradients of the outputs: from random ones it is "
                    f"{got[~fine][0]:.9g} where one element at a time gives "
                    f"{expected[~fine][0]:.9g}"
                )

    def _check_twice(self, nondet_tol, check_dtypes):
        """Two passes with the same random gradients must agree; dtypes on request."""
        cotangents = self._random_cotangents()
        first, gradients = jac.reverse(self.outputs, self.sources, cotangents)
        second, _ = jac.reverse(self.outputs, self.sources, cotangents)
        for j, (one, other) in enumerate(zip(first, second, strict=True)):
            same = (np.abs(one - other) <= nondet_tol) | (one == other)
            if not (same | (np.isnan(one) & np.isnan(other))).all():
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and "
                    "grad_output multiple times gives different values, although analytical "
                    "gradient matches numerical gradient. The tolerance for nondeterminism was "
                    f"{nondet_tol}. (input {self.indices[j]}, {self.names[0]})"
                )
        if not check_dtypes:
            return
        for index, source, g in zip(self.indices, self.sources, gradients, strict=True):
            if g is not None and g.dtype is not source.dtype:
                raise GradcheckError(
                    f"gradcheck: {self.names[0]}: the gradient of input {index} has dtype "
                    f"{g.dtype}; it must have the dtype of the input, {source.dtype}"
                )

    def _check_batches(self):
        """`autograd.grad` of a batch of gradients gives those of each, one after the other."""
        from . import grad

        normal = self.generator.standard_normal
        for k, output in enumerate(self.outputs):
            rows = normal((2, *output.shape)).astype(output.dtype.numpy)
            options = {"retain_graph": True, "allow_unused": True}
            together = grad(
                output, self.sources, from_array(rows), is_grads_batched=True, **options
            )
            single = [grad(output, self.sources, from_array(row), **options) for row in rows]
            for j, batch in enumerate(together):
                for row, alone in enumerate(single):
                    if batch is None and alone[j] is None:
                        continue
                    got, wanted = batch[row].detach().numpy(), alone[j].detach().numpy()
                    if not np.allclose(got, wanted, rtol=self.rtol, atol=self.atol, equal_nan=True):
                        raise GradcheckError(
                            f"gradcheck: {self.names[k]}: gradients computed in a batch differ "
                            f"from those computed one by one, for input {self.indices[j]}"
                        )

    def _check_constant(self, outputs):
        """No output has a gradient: then none may change with an input."""
        positions = [
            i for i, o in enumerate(outputs) if isinstance(o, Tensor) and o.dtype.is_floating_point
        ]
        for index in self.indices:
            found = jac.numerical(self.func, self.inputs, index, positions, self.eps)
            for position, numbers in zip(positions, found, strict=True):
                if np.abs(numbers).max(initial=0.0) > self.atol:
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero: output "
                        f"{position} has no grad_fn, but changes with input {index}"
                    )


def _check_inputs(indices, sources):
    """Raise or warn about inputs that cannot be checked, or not exactly."""
    if not sources:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the "
            "them have requires_grad=True."
        )
    for index, source in zip(indices, sources, strict=True):
        if source.dtype.itemsize < 8:
            warnings.warn(
                f"Input #{index} requires gradient and is not a double precision floating point "
                "or complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=4,
            )
        if any(
            n > 1 and stride == 0 for n, stride in zip(source.shape, source.stride(), strict=True)
        ):
            raise RuntimeError(
                f"The {index}th input has a dimension with stride 0. gradcheck only supports "
                "inputs that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to "
                "gradcheck."
            )


def _element(position, shape):
    return tuple(int(i) for i in np.unravel_index(position, tuple(shape)))
