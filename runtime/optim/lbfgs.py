"""The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno."""

from __future__ import annotations

from ..autograd.grad_mode import enable_grad, no_grad
from ..factories import zeros
from ..operators import cat
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, check_lr

NARROW = 1e-9  # the line search ends in a bracket so narrow, whatever `tolerance_change` says


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last `history_size` changes of parameters and gradients.

    It takes one group, and `step` needs a closure: it evaluates the model up to `max_eval` times
    (by default 1.25 `max_iter`). A step ends after `max_iter` iterations, where no element of the
    gradient exceeds `tolerance_grad`, or where loss and parameters change by no more than
    `tolerance_change`. line_search_fn: "strong_wolfe", or None for steps of length `lr`.
    Source: Nocedal & Wright, Numerical Optimization (2006), algorithm 7.4.
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure):
        """Minimise for a while; returns what the first call of `closure()` returns."""
        evaluate = enable_grad()(closure)
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = evaluate()
        state["func_evals"] += 1
        grad = self._gradient()
        if _largest(grad) > group["tolerance_grad"]:
            self._iterate(evaluate, group, state, float(first), grad)
        return first

    def _iterate(self, evaluate, group, state, loss, grad):
        evaluations, iterations = 1, 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            begins = state["n_iter"] == 1
            if begins:
                _forget(state, grad)
            else:
                _remember(state, grad, group["history_size"])
                state["d"] = _direction(state, grad, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = grad.clone(), loss
            t = float(group["lr"])
            if begins:
                t *= min(1.0, 1.0 / grad.abs().sum().item())
            state["t"] = t
            slope = grad.dot(state["d"]).item()
            if slope > -group["tolerance_change"]:
                break
            last = iterations == group["max_iter"]
            here = Point(0.0, loss, grad, slope)
            left = group["max_eval"] - evaluations
            point, used = self._move(evaluate, group, state, here, t, left, last)
            loss, grad = point.loss, point.grad
            evaluations += used
            state["func_evals"] += used
            if last or evaluations >= group["max_eval"]:
                break
            if _largest(grad) <= group["tolerance_grad"] or _no_progress(group, state, loss):
                break

    def _move(self, evaluate, group, state, here, t, left, last):
        """Go along the direction; the Point reached and how often the model was evaluated."""
        direction = state["d"]
        if group["line_search_fn"] is None:
            self._add(direction, t)
            if last:  # nobody looks at the loss there
                return here, 0
            return Point(t, float(evaluate()), self._gradient(), None), 1
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        params = group["params"]
        start = [param.clone() for param in params]

        def at(t):
            self._add(direction, t)
            loss, grad = float(evaluate()), self._gradient()
            for param, value in zip(params, start, strict=True):
                param.copy_(value)
            return Point(t, loss, grad, grad.dot(direction).item())

        found = strong_wolfe(at, here, t, _largest(direction), NARROW, left)
        state["t"] = found[0].t
        self._add(direction, found[0].t)
        return found

    def _gradient(self):
        """The gradients of all parameters, one after the other; zeros where there is none."""
        return cat(
            [
                zeros(p.numel(), dtype=p.dtype) if p.grad is None else p.grad.detach().reshape(-1)
                for p in self.param_groups[0]["params"]
            ]
        )

    def _add(self, direction, t):
        start = 0
        for param in self.param_groups[0]["params"]:
            part = direction[start : start + param.numel()]
            param.add_(part.reshape(param.shape), alpha=t)
            start += param.numel()


def _largest(vector):
    return vector.abs().max().item()


def _no_progress(group, state, loss):
    tolerance = group["tolerance_change"]
    if _largest(state["d"]) * state["t"] <= tolerance:
        return True
    return abs(loss - state["prev_loss"]) < tolerance


def _forget(state, grad):
    """Begin with the steepest descent."""
    state.update(d=-grad, old_dirs=[], old_stps=[], ro=[], H_diag=1)


def _remember(state, grad, most):
    """Note the change of the gradient and of the parameters, if it shows positive curvature."""
    changed = grad - state["prev_flat_grad"]
    moved = state["d"] * float(state["t"])
    product = changed.dot(moved).item()
    if product > 1e-10:
        if len(state["old_dirs"]) == most:
            for name in ("old_dirs", "old_stps", "ro"):
                state[name].pop(0)
        state["old_dirs"].append(changed)
        state["old_stps"].append(moved)
        state["ro"].append(1.0 / product)
        state["H_diag"] = product / changed.dot(changed).item()


def _direction(state, grad, most):
    """The approximate inverse Hessian times the negative gradient: the two-loop recursion."""
    shares = state.setdefault("al", [None] * most)
    pairs = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
    direction = -grad
    for i in reversed(range(len(pairs))):
        changed, moved, ro = pairs[i]
        shares[i] = moved.dot(direction).item() * float(ro)
        direction.add_(changed, alpha=-shares[i])
    direction.mul_(float(state["H_diag"]))
    for i, (changed, moved, ro) in enumerate(pairs):
        share = changed.dot(direction).item() * float(ro)
        direction.add_(moved, alpha=shares[i] - share)
    return direction
