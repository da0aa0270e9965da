"""The checker's verdicts are PyTorch's, for the same functions in both."""

import warnings

import pytest
import rederive

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


class Cases:
    """Calls of gradcheck and gradgradcheck with one library."""

    def __init__(self, library):
        self.lib = library
        self.autograd = library.autograd

    def leaf(self, *shape, first=0.3):
        count = 1
        for size in shape:
            count *= size
        numbers = self.lib.arange(count, dtype=self.lib.float64).reshape(shape)
        return ((numbers * 0.7 + first).sin() + 1.5).detach().requires_grad_()

    def made(self, forward, backward, jvp=None, materialize=True):
        class Made(self.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                ctx.save_for_backward(*inputs)
                ctx.set_materialize_grads(materialize)
                return forward(*inputs)

            @staticmethod
            def backward(ctx, *grads):
                return backward(*grads, *ctx.saved_tensors)

        if jvp is not None:
            Made.jvp = staticmethod(jvp)
        return Made.apply

    def functions(self):
        """Name -> (function, inputs, options)."""
        made, leaf, lib = self.made, self.leaf, self.lib
        double = lambda x: x * 2  # noqa: E731
        forward = {"check_forward_ad": True}
        counted = [0]

        def restless(g, x):
            counted[0] += 1
            return g * 2 + counted[0] * 1e-4

        square = made(lambda g, x: g * 2 * x, lambda u, g, x: (u * 2 * x, u * g))
        return {
            "right": (lambda x, y: (x * y, x.exp().sum()), (leaf(2, 3), leaf(3)), {}),
            "factor": (made(double, lambda g, x: g * 3), leaf(2), {}),
            "0.05 % within the tolerance": (made(double, lambda g, x: g * 2.001), leaf(2), {}),
            "0.5 % without": (made(double, lambda g, x: g * 2.01), leaf(2), {}),
            "no gradient": (made(double, lambda g, x: None), leaf(2), {}),
            "transpose": (
                made(lambda a, b: a @ b, lambda g, a, b: (g @ b, a.T @ g)),
                (leaf(2, 2), leaf(2, 2, first=1.0)),
                {},
            ),
            "cotangent ignored": (
                made(lambda x: x.sum(), lambda g, x: x.detach() * 0 + 1),
                leaf(3),
                {},
            ),
            "constant added": (made(double, lambda g, x: g * 2 + 1e-9), leaf(2), {}),
            "wrong shape": (made(double, lambda g, x: (g * 2)[:1]), leaf(2, 2), {}),
            "other dtype": (
                made(double, lambda g, x: (g * 2).float()),
                leaf(2),
                {"check_grad_dtypes": True},
            ),
            "something for undefined": (
                made(
                    double,
                    lambda g, x: x.detach() * 0 + 1 if g is None else g * 2,
                    materialize=False,
                ),
                leaf(2),
                {},
            ),
            "constant output": (lambda x: lib.ones(2, dtype=lib.float64), leaf(2), {}),
            "detached output": (lambda x: x.detach() * 2, leaf(2), {}),
            "detached second output": (lambda x: (x * 2, x.detach() * 2), leaf(2), {}),
            "integer output": (lambda x: (x * 2, x.argmax()), leaf(3), {}),
            "only an integer output": (lambda x: x.argmax(), leaf(3), {}),
            "nan": (lambda x: (x - 5).sqrt(), leaf(2), {}),
            "empty": (lambda x: x * 2, leaf(0), {}),
            "not repeated": (made(double, restless), leaf(2), {}),
            "raises": (made(double, lambda g, x: 1 / 0), leaf(2), {}),
            "jvp": (made(double, lambda g, x: g * 2, lambda ctx, t: t * 3), leaf(2), forward),
            "jvp missing": (made(double, lambda g, x: g * 2), leaf(2), forward),
            "forward": (lambda x, y: x * y, (leaf(2), leaf(2, first=1.0)), forward),
            "batches": (lambda x: x * x, leaf(2), {"check_batched_grad": True}),
            "forward batches": (
                lambda x: x * x,
                leaf(2),
                {**forward, "check_batched_forward_grad": True},
            ),
            "others among the inputs": (lambda x, k, s, n: x * k, (leaf(2), 2, "s", None), {}),
            "list": (lambda x, y: [x * y], [leaf(2), leaf(2)], {}),
            "input returned": (lambda x: x, leaf(2), {}),
            "transposed input": (lambda x: x * x, leaf(2, 3).detach().t().requires_grad_(), {}),
            "expanded input": (lambda x: x * x, leaf(1).expand(3), {}),
            "nothing requires gradients": (lambda x: x, leaf(2).detach(), {}),
            "no mode": (lambda x: x, leaf(2), {"check_backward_ad": False}),
            "forward batches without forward": (
                lambda x: x,
                leaf(2),
                {"check_batched_forward_grad": True},
            ),
            "second order": (made(lambda x: x * x, square), leaf(2), {"second": True}),
            "right second order": (lambda x: x.exp() * x, leaf(2), {"second": True}),
            "linear": (lambda x: x * 2, leaf(2), {"second": True}),
            "unused input": (lambda x, y: x * x, (leaf(2), leaf(3)), {"second": True}),
            "detached gradient": (
                made(lambda x: x * x, lambda g, x: (g * 2 * x).detach()),
                leaf(2),
                {"second": True},
            ),
            "forward over reverse": (
                lambda x: x.exp() * x,
                leaf(2),
                {"second": True, "check_fwd_over_rev": True},
            ),
            "forward over reverse alone": (
                lambda x: x * x,
                leaf(2),
                {"second": True, "check_fwd_over_rev": True, "check_rev_over_rev": False},
            ),
        }

    def verdict(self, name, fast):
        """The type of what is raised and how the message begins, or what is returned."""
        function, inputs, options = self.functions()[name]
        options = dict(options)
        autograd = self.autograd
        check = autograd.gradgradcheck if options.pop("second", False) else autograd.gradcheck
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return check(function, inputs, fast_mode=fast, **options)
            except Exception as error:
                return type(error).__name__, str(error)[:38]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", list(Cases(rederive).functions()))
def test_verdict_is_that_of_pytorch(name, fast):
    assert Cases(rederive).verdict(name, fast) == Cases(torch).verdict(name, fast)
