# autograd.Function: errors, modes inside forward, foreign outputs, setup_context
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


def error_in_backward():
    # error inside backward leaves usable
    def bw(ctx, g):
        raise KeyError("boo")

    F = function("F", lambda ctx, x: x * 2, bw)
    x = leaf()
    y = F.apply(x)
    show("first", lambda: y.sum().backward())
    print(torch.is_grad_enabled())
    (x * 2).sum().backward()
    show("second", lambda: y.sum().backward())
    return x.grad


show("error in backward", error_in_backward)


def error_in_forward():
    def fw(ctx, x):
        raise KeyError("boo")

    F = function("F", fw, passing)
    x = leaf()
    show("fw", lambda: F.apply(x))
    print(torch.is_grad_enabled())
    with fwAD.dual_level():
        d = fwAD.make_dual(torch.ones(2), torch.ones(2))
        show("fw", lambda: F.apply(d))
        return fwAD.unpack_dual(d * 2).tangent


show("error in forward", error_in_forward)


def enable_grad_in_forward():
    def fw(ctx, x):
        print(torch.is_grad_enabled(), x.requires_grad, x.is_leaf)
        with torch.enable_grad():
            y = x * 2
        print(y.requires_grad)
        return y

    F = function("F", fw, lambda ctx, g: g * 100)
    x = leaf()
    y = F.apply(x)
    print(y.grad_fn)
    y.sum().backward()
    return x.grad


show("enable grad in forward", enable_grad_in_forward)


def enable_grad_in_forward_nograd():
    def fw(ctx, x):
        with torch.enable_grad():
            y = x * 2
        return y

    F = function("F", fw, lambda ctx, g: g * 100)
    with torch.no_grad():
        y = F.apply(leaf())
    return y.requires_grad, y.grad_fn


show("enable grad in forward nograd", enable_grad_in_forward_nograd)


def other_leaf_returned():
    w = leaf()
    F = function("F", lambda ctx, x: w, lambda ctx, g: g * 100)
    x = leaf()
    y = F.apply(x)
    print(y is w, w.requires_grad, w.is_leaf)
    y.sum().backward()
    return x.grad


show("other leaf returned", other_leaf_returned)


def other_nonleaf_returned():
    w = leaf() * 2
    F = function("F", lambda ctx, x: w, lambda ctx, g: g * 100)
    x = leaf()
    y = F.apply(x)
    print(y is w, w.grad_fn)
    y.sum().backward()
    return x.grad


show("other nonleaf returned", other_nonleaf_returned)


def other_plain_returned():
    w = torch.ones(3)
    F = function("F", lambda ctx, x: w, lambda ctx, g: g * 100)
    x = leaf()
    y = F.apply(x)
    print(y is w, w.grad_fn, w.requires_grad)
    return None


show("other plain returned", other_plain_returned)


def materialize_grads_as_attribute():
    def fw(ctx, x):
        ctx.materialize_grads = False
        return x * 2, x * 3

    F = function("F", fw, lambda ctx, g, h: (print(g, h), g)[1])
    F.apply(leaf())[0].sum().backward()


show("materialize_grads as attribute", materialize_grads_as_attribute)


def vjp_in_the_place_of_backward():
    class V(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 7

        generate_vmap_rule = True

        @staticmethod
        def vmap(info, in_dims, x):
            return x

        clear_saved_tensors_on_access = False

    x = leaf()
    V.apply(x).sum().backward()
    return x.grad


show("vjp in the place of backward", vjp_in_the_place_of_backward)


def setup_context():
    # setup_context variants
    class S(Function):
        @staticmethod
        def forward(x, k=2):
            return x * k, x + k

        @staticmethod
        def setup_context(ctx, inputs, output):
            print(
                type(inputs),
                len(inputs),
                type(output),
                output[0].requires_grad,
                torch.is_grad_enabled(),
            )
            ctx.k = inputs[1] if len(inputs) > 1 else None
            ctx.save_for_backward(inputs[0], output[0])

        @staticmethod
        def backward(ctx, g, h):
            print(ctx.saved_tensors[1].grad_fn)
            return g * 2 + h, None

    x = leaf()
    a, b = S.apply(x)
    a.sum().backward()
    a, b = S.apply(x, k=3)
    (a + b).sum().backward()
    return x.grad


show("setup_context", setup_context)


def setup_id():
    class S(Function):
        @staticmethod
        def forward(x):
            return x

        @staticmethod
        def setup_context(ctx, inputs, output):
            print(inputs[0] is output, output._is_view())
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, g):
            print(ctx.saved_tensors[0].grad_fn, ctx.saved_tensors[0].is_leaf)
            return g * 2

    x = leaf()
    a = S.apply(x)
    a.sum().backward()
    return x.grad, a._is_view(), a is x, a.grad_fn


show("setup id", setup_id)


def setup_dirty():
    class S(Function):
        @staticmethod
        def forward(x):
            return x.mul_(2)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_dirty(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf()
    a = x * 1
    b = S.apply(a)
    b.sum().backward()
    return x.grad, b is a, a._version


show("setup dirty", setup_dirty)


def kwonly():
    class S(Function):
        @staticmethod
        def forward(x, *, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            print(inputs)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf()
    return S.apply(x, k=3)


show("kwonly", kwonly)


def kwonly():
    def fw(ctx, x, *, k=3):
        return x * k

    F = function("F", fw, passing)
    x = leaf()
    F.apply(x, k=3).sum().backward()
    return x.grad


show("kwonly", kwonly)


def kw_tensor():
    def fw(ctx, x, w=None):
        return x * w

    F = function("F", fw, lambda ctx, g: (g, g))
    x, w = leaf(), leaf()
    F.apply(x, w=w).sum().backward()
    return x.grad, w.grad


show("kw tensor", kw_tensor)


def setup_kw_tensor():
    class S(Function):
        @staticmethod
        def forward(x, w):
            return x * w

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            return g * w, g * x

    x, w = leaf(), leaf()
    y = S.apply(w=w, x=x)
    y.sum().backward()
    return x.grad, w.grad


show("setup kw tensor", setup_kw_tensor)
