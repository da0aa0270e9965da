# autograd.Function: saved tensors, and differentiating twice
Function = torch.autograd.Function


def function(name, forward, backward, **methods):
    methods = {"forward": forward, "backward": backward, **methods}
    return type(name, (Function,), {key: staticmethod(f) for key, f in methods.items()})


def show(label, f):
    """Print what `f` returns, or the error with the beginning of its text."""
    try:
        print(label, f())
    except Exception as error:
        print(label, type(error).__name__, str(error).splitlines()[0][:44])


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def passing(ctx, *grads):
    return grads if len(grads) > 1 else grads[0]


class Save(Function):
    @staticmethod
    def forward(ctx, x, w):
        y = x * w
        ctx.save_for_backward(x, w, y)
        return y

    @staticmethod
    def backward(ctx, g):
        x, w, y = ctx.saved_tensors
        return g * w, g * x


def what_is_saved():
    x, w = leaf(), leaf()
    y = Save.apply(x, w)
    st = y.grad_fn.saved_tensors
    return st[0] is x, st[2] is y, st[2].grad_fn is y.grad_fn


show("what is saved", what_is_saved)


def modified_input():
    x, w = leaf(), leaf()
    a = x * 1
    y = Save.apply(a, w)
    with torch.no_grad():
        a.mul_(2)
    y.sum().backward()


show("modified input", modified_input)


def modified_output():
    x, w = leaf(), leaf()
    y = Save.apply(x, w)
    y.mul_(2)
    y.sum().backward()


show("modified output", modified_output)


def dirty_saved():
    def fw(ctx, x):
        ctx.save_for_backward(x)
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    def bw(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x

    x = leaf()
    y = function("F", fw, bw).apply(x * 1)
    y.sum().backward()
    return x.grad


show("dirty saved", dirty_saved)


def twice():
    def fw(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    F = function("F", fw, lambda ctx, g: (print(ctx.saved_tensors), g)[1])
    x = leaf()
    y = F.apply(x)
    y.sum().backward()
    y.sum().backward()


show("twice", twice)


def twice_nothing_saved():
    F = function("F", lambda ctx, x: x * 2, lambda ctx, g: (print(ctx.saved_tensors), g)[1])
    x = leaf()
    y = F.apply(x)
    y.sum().backward()
    y.sum().backward()
    return x.grad


show("twice nothing saved", twice_nothing_saved)


def twice_saved():
    def fw(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_backward(x, x)
        return x * 2

    F = function("F", fw, lambda ctx, g: (print(len(ctx.saved_tensors)), g)[1])
    F.apply(leaf()).sum().backward()


show("twice saved", twice_saved)


def list():
    def fw(ctx, x):
        ctx.save_for_backward([x, x])
        return x * 2

    F = function("F", fw, lambda ctx, g: (print(len(ctx.saved_tensors)), g)[1])
    F.apply(leaf()).sum().backward()


show("list", list)


def intermediate():
    def fw(ctx, x):
        t = x * 3
        ctx.save_for_backward(t, None)
        return x * 2

    F = function("F", fw, lambda ctx, g: (print(ctx.saved_tensors), g)[1])
    F.apply(leaf()).sum().backward()


show("intermediate", intermediate)


def in_forward():
    def fw(ctx, x):
        print(getattr(ctx, "saved_tensors", "no"))
        ctx.save_for_backward(x)
        print(getattr(ctx, "saved_tensors", "no"))
        return x * 2

    F = function("F", fw, passing)
    F.apply(leaf()).sum().backward()


show("in forward", in_forward)


def nograd_int():
    def fw(ctx, x):
        ctx.save_for_backward(3)
        return x * 2

    F = function("F", fw, passing)
    with torch.no_grad():
        return F.apply(leaf())


show("nograd int", nograd_int)
show(
    "s11b grad int",
    lambda: function("F", lambda ctx, x: (ctx.save_for_backward(3), x * 2)[1], passing).apply(
        leaf()
    ),
)


def saved_nondiff_output():
    def fw(ctx, x):
        y = x * 2
        ctx.save_for_backward(y)
        ctx.mark_non_differentiable(y)
        return x * 1, y

    F = function(
        "F",
        fw,
        lambda ctx, g, h: (
            print(ctx.saved_tensors[0].requires_grad, ctx.saved_tensors[0].grad_fn, g, h),
            g,
        )[1],
    )
    y, z = F.apply(leaf())
    y.sum().backward()


show("saved nondiff output", saved_nondiff_output)


def saved_input_returned():
    def fw(ctx, x):
        ctx.save_for_backward(x)
        return x

    F = function("F", fw, lambda ctx, g: (print(ctx.saved_tensors[0].is_leaf), g)[1])
    y = F.apply(leaf())
    y.sum().backward()


show("saved input returned", saved_input_returned)


def _data():
    x = leaf()
    y = Save.apply(x, leaf())
    x.data.mul_(2)
    y.sum().backward()
    return x.grad


show(".data", _data)


def double():
    class A(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    x = leaf()
    (g,) = torch.autograd.grad(A.apply(x).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    print(g, h)
    a = x * 2
    (g,) = torch.autograd.grad(A.apply(a).sum(), x, create_graph=True)
    return torch.autograd.grad(g.sum(), x), g.grad_fn


show("double", double)


def double_attr():
    class A(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.x = x
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * ctx.x * g

    x = leaf()
    (g,) = torch.autograd.grad(A.apply(x).sum(), x, create_graph=True)
    return torch.autograd.grad(g.sum(), x), g


show("double attr", double_attr)


def modes():
    # backward with grad mode
    def bw(ctx, g):
        print(torch.is_grad_enabled(), g.requires_grad)
        return g

    F = function("F", lambda ctx, x: x * 2, bw)
    x = leaf()
    F.apply(x).sum().backward()
    torch.autograd.grad(F.apply(x).sum(), x, create_graph=True)
    torch.autograd.grad((F.apply(x) * x).sum(), x, create_graph=True)


show("modes", modes)


def once():
    from_ = torch.autograd.function.once_differentiable

    def bw(ctx, g, h):
        print(torch.is_grad_enabled(), g.requires_grad)
        return g * 2, None, h * 3

    F = function("F", lambda ctx, x, k, w: (x * 2, w * 3), from_(bw))
    x, w = leaf(), leaf()
    a, b = F.apply(x, 3, w)
    g = torch.autograd.grad((a * x * b).sum(), (x, w), create_graph=True)
    print(
        g[0].grad_fn is not None,
        [n[0] is None for n in g[0].grad_fn.next_functions],
        g[0].requires_grad,
    )
    print(g)
    return None


show("once", once)


def backward_in_backward():
    def bw(ctx, g):
        x = torch.ones(2, requires_grad=True)
        (x * 2).sum().backward()
        y = torch.autograd.grad((x * x).sum(), x)[0]
        return g * y[0] * x.grad[0]

    F = function("F", lambda ctx, x: x * 2, bw)
    x = leaf()
    show("nograd?", lambda: F.apply(x).sum().backward())
    return x.grad


show("backward in backward", backward_in_backward)
