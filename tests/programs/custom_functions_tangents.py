# autograd.Function under forward mode
fwAD = torch.autograd.forward_ad
Function = torch.autograd.Function


def function(name, forward, backward, **methods):
    methods = {"forward": forward, "backward": backward, **methods}
    return type(name, (Function,), {key: staticmethod(f) for key, f in methods.items()})


def show(label, f):
    """Print what `f` returns, or the error with the beginning of its text."""
    try:
        print(label, f())
    except Exception as error:
        print(label, type(error).__name__, str(error).splitlines()[0][:60])


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def passing(ctx, *grads):
    return grads if len(grads) > 1 else grads[0]


def dual(v=(1.0, 2.0, 3.0), t=(1.0, 10.0, 100.0), rg=False):
    return fwAD.make_dual(torch.tensor(v, requires_grad=rg), torch.tensor(t))


def tan(y):
    return fwAD.unpack_dual(y).tangent


def level(f):
    def g():
        with fwAD.dual_level():
            return f()

    return g


def tangents_of(fw, jvp, x=None, *args, bw=passing):
    def g():
        with fwAD.dual_level():
            F = function("F", fw, bw, jvp=jvp)
            y = F.apply(dual() if x is None else x(), *args)
            return [
                (tan(t) if isinstance(t, torch.Tensor) else t)
                for t in (y if isinstance(y, tuple) else (y,))
            ], [
                (t._is_view(), t.grad_fn)
                for t in (y if isinstance(y, tuple) else (y,))
                if isinstance(t, torch.Tensor)
            ]

    return g


def double(ctx, x, *a):
    return x * 2


show("basic", tangents_of(double, lambda ctx, t: t * 2))
show("nontensor", tangents_of(double, lambda ctx, t, k: (print(k), t * 2)[1], None, 3))
show(
    "second tensor",
    tangents_of(
        lambda ctx, x, w: x * w, lambda ctx, t, k: (print(k), t * 2)[1], None, torch.ones(3)
    ),
)


def nm(ctx, x, w):
    ctx.set_materialize_grads(False)
    return x * w


show(
    "second tensor nm", tangents_of(nm, lambda ctx, t, k: (print(k), t * 2)[1], None, torch.ones(3))
)
show(
    "int tensor",
    tangents_of(
        lambda ctx, x, w: x * w,
        lambda ctx, t, k: (print(k), t * 2)[1],
        None,
        torch.ones(3, dtype=torch.int64),
    ),
)
show("too many", tangents_of(double, lambda ctx, t: (t, t)))
show("too few", tangents_of(lambda ctx, x: (x * 2, x), lambda ctx, t: t))
show("list", tangents_of(double, lambda ctx, t: [t]))
show("int", tangents_of(double, lambda ctx, t: 3))
show("shape", tangents_of(double, lambda ctx, t: torch.ones(2)))
show("shape bcast", tangents_of(double, lambda ctx, t: torch.ones(1)))
show("dtype", tangents_of(double, lambda ctx, t: t.double()))
show("no jvp", level(lambda: function("F", double, passing).apply(dual())))
show("no jvp, no tangents", level(lambda: function("F", double, passing).apply(torch.ones(3))))
show("jvp raise", tangents_of(double, lambda ctx, t: {}["a"]))


def nd(ctx, x):
    y = x * 3
    ctx.mark_non_differentiable(y)
    return x * 2, y


show("nondiff", tangents_of(nd, lambda ctx, t: (t * 2, t)))
show("nondiff none", tangents_of(nd, lambda ctx, t: (t * 2, None)))
show("int out", tangents_of(lambda ctx, x: (x * 2, x.long()), lambda ctx, t: (t * 2, None)))
show("int out tangent", tangents_of(lambda ctx, x: (x * 2, x.long()), lambda ctx, t: (t * 2, t)))
show(
    "nontensor out", tangents_of(lambda ctx, x: (x * 2, "a", 3), lambda ctx, t: (t * 2, None, None))
)
show("nontensor out2", tangents_of(lambda ctx, x: (x * 2, "a", 3), lambda ctx, t: (t * 2, t, None)))
show("nontensor out3", tangents_of(lambda ctx, x: (x * 2, "a", 3), lambda ctx, t: t * 2))
show("id", tangents_of(lambda ctx, x: x, lambda ctx, t: t))
show("id *2", tangents_of(lambda ctx, x: x, lambda ctx, t: t * 2))
show("view", tangents_of(lambda ctx, x: x[:2], lambda ctx, t: t[:2]))
show("view copy", tangents_of(lambda ctx, x: x[:2], lambda ctx, t: t[:2] * 1))


def dirty(ctx, x):
    ctx.mark_dirty(x)
    x.mul_(2)
    return x


show("dirty inplace jvp", tangents_of(dirty, lambda ctx, t: t.mul_(2)))
show("dirty outplace jvp", tangents_of(dirty, lambda ctx, t: t * 2))
show("dirty none", tangents_of(dirty, lambda ctx, t: None))


def dirty_view(jvp):
    def g():
        with fwAD.dual_level():
            d = dual()
            v = d[:2]
            r = function("F", dirty, passing, jvp=jvp).apply(v)
            return r is v, tan(r), tan(d), d

    return g


show("dirty view", dirty_view(lambda ctx, t: t.mul_(2)))
show("dirty view outplace", dirty_view(lambda ctx, t: t * 2))


def dirty_undual(jvp):
    def g():
        with fwAD.dual_level():
            b = torch.zeros(4)
            v = b[:3]
            d = dual()

            def fw(ctx, a, d):
                ctx.mark_dirty(a)
                a.add_(d)
                return a

            r = function("F", fw, passing, jvp=jvp).apply(v, d)
            return r is v, tan(r), tan(b), tan(v)

    return g


show("dirty undual view", dirty_undual(lambda ctx, a, t: a.add_(t)))
show("dirty undual view2", dirty_undual(lambda ctx, a, t: a + t))


def saved_fw():
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            print(fwAD.unpack_dual(x).tangent)
            return x * x

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            print(
                x,
                fwAD.unpack_dual(x).tangent,
                torch.is_grad_enabled(),
                t.requires_grad,
                ctx.saved_for_forward if hasattr(ctx, "saved_for_forward") else None,
            )
            return 2 * x * t

    with fwAD.dual_level():
        return tan(F.apply(dual()))


show("saved fw", saved_fw)


def saved_only_bw():
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def jvp(ctx, t):
            print(ctx.saved_tensors)
            return t

    with fwAD.dual_level():
        return tan(F.apply(dual()))


show("saved only bw", saved_only_bw)


def setup_jvp():
    class F(Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_forward(*inputs)
            ctx.save_for_backward(*inputs)

        @staticmethod
        def jvp(ctx, t, s):
            x, k = ctx.saved_tensors
            return t * k + x * s

        @staticmethod
        def backward(ctx, g):
            x, k = ctx.saved_tensors
            return g * k, g * x

    with fwAD.dual_level():
        x, k = leaf(), leaf()
        dx = fwAD.make_dual(x, torch.tensor([1.0, 10.0, 100.0]))
        y = F.apply(dx, k)
        print(tan(y))
        g = torch.autograd.grad(y.sum(), (x, k), create_graph=True)
        print([t if t is None else t.detach() for t in map(tan, g)])
        return torch.autograd.grad(tan(y).sum(), k)


def rev_over_fw():
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            print(x.requires_grad, torch.is_grad_enabled())
            return 2 * x * t

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    with fwAD.dual_level():
        x = leaf()
        y = F.apply(fwAD.make_dual(x, torch.tensor([1.0, 10.0, 100.0])))
        t = tan(y)
        print(t)
        print(torch.autograd.grad(t.sum(), x, retain_graph=True))
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return tan(g).detach()


show("rev over fw", rev_over_fw)


def mode_in_jvp():
    with torch.no_grad(), fwAD.dual_level():
        return tan(
            function(
                "F",
                double,
                passing,
                jvp=lambda ctx, t: (print(torch.is_grad_enabled(), ctx.needs_input_grad), t * 2)[1],
            ).apply(dual(rg=True))
        )


show("mode in jvp", mode_in_jvp)


def undefined_all():
    with fwAD.dual_level():
        F = function("F", lambda ctx, x: x * 2, passing, jvp=lambda ctx, t: (print("called"), t)[1])
        return tan(F.apply(torch.ones(3)))


show("undefined all", undefined_all)


def inner_dual():
    # forward computes with duals itself
    w = None
    with fwAD.dual_level():
        w = dual()
        F = function("F", lambda ctx, x: x * w, passing, jvp=lambda ctx, t: t)
        return tan(F.apply(torch.ones(3))), tan(F.apply(dual()))


show("inner dual", inner_dual)


def tangent_alias():
    with fwAD.dual_level():
        d = dual()
        t = tan(d)
        y = function("F", double, passing, jvp=lambda ctx, t: t).apply(d)
        return tan(y) is t, tan(y).data_ptr() == t.data_ptr()


show("tangent alias", tangent_alias)


def gradcheck():
    class F(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_forward(x, w)
            ctx.save_for_backward(x, w)
            return x * w, x + w

        @staticmethod
        def jvp(ctx, t, s):
            x, w = ctx.saved_tensors
            return t * w + s * x, t + s

        @staticmethod
        def backward(ctx, g, h):
            x, w = ctx.saved_tensors
            return g * w + h, g * x + h

    x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    w = torch.rand(3, dtype=torch.float64, requires_grad=True)
    return torch.autograd.gradcheck(
        F.apply, (x, w), check_forward_ad=True, check_backward_ad=True
    ), torch.autograd.gradgradcheck(
        F.apply, (x, w), check_fwd_over_rev=True, check_rev_over_rev=True
    )


show("gradcheck", gradcheck)
