# autograd.Function that changes inputs in place, returns views or inputs
Function = torch.autograd.Function


def function(name, forward, backward, **methods):
    methods = {"forward": forward, "backward": backward, **methods}
    return type(name, (Function,), {key: staticmethod(f) for key, f in methods.items()})


def show(label, f):
    """Print what `f` returns, or the error with the beginning of its text."""
    try:
        print(label, f())
    except Exception as error:
        print(label, type(error).__name__, str(error).splitlines()[0][:400])


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def passing(ctx, *grads):
    return grads if len(grads) > 1 else grads[0]


Id = function("Id", lambda ctx, x: x, passing)
IdView = function("IdView", lambda ctx, x: x.view(-1), passing)
Slice = function("Slice", lambda ctx, x: x[:2], lambda ctx, g: torch.cat([g, torch.zeros(1)]))
Two = function(
    "Two",
    lambda ctx, x: (x[:2], x[1:]),
    lambda ctx, g, h: torch.cat([g, torch.zeros(1)]) + torch.cat([torch.zeros(1), h]),
)
Out2 = function("Out2", lambda ctx, x: (x * 2, x * 3), lambda ctx, g, h: g * 2 + h * 3)


def viewoftmp(ctx, x):
    y = x * 2
    return y.view(-1)


ViewTmp = function("ViewTmp", viewoftmp, lambda ctx, g: g * 2)


def viewpair(ctx, x):
    y = x * 2
    return y, y[:2]


ViewPair = function(
    "ViewPair", viewpair, lambda ctx, g, h: g * 2 + 2 * torch.cat([h, torch.zeros(1)])
)
Detached = function("Detached", lambda ctx, x: x.detach(), passing)


def t_inplace(F, pick=None, arg=None, op=lambda y: y.mul_(2)):
    x = leaf()
    a = (arg or (lambda x: x * 1))(x)
    y = F.apply(a)
    if pick is not None:
        y = y[pick]
    op(y)
    s = y.sum()
    s.backward()
    return y.grad_fn, y._is_view(), x.grad, a.detach()


for F in (Id, IdView, Slice, ViewTmp, Detached):
    show("ip " + F.__name__, lambda: t_inplace(F))
    show("ip leaf " + F.__name__, lambda: t_inplace(F, arg=lambda x: x))
    show("ip nograd in " + F.__name__, lambda: t_inplace(F, arg=lambda x: x.detach()))
for F in (Two, Out2, ViewPair):
    for i in (0, 1):
        show(f"ip {F.__name__} {i}", lambda: t_inplace(F, i))


def nograd(y):
    with torch.no_grad():
        y.mul_(2)


for F in (Id, IdView, Slice, ViewTmp, Detached):
    show("ipng " + F.__name__, lambda: t_inplace(F, op=nograd))


# base written after view
def base_written(F, pick=None):
    x = leaf()
    a = x * 1
    y = F.apply(a)
    if pick is not None:
        y = y[pick]
    a.mul_(3)
    r = y.grad_fn
    y.sum().backward()
    return r, x.grad, y.detach()


for F in (Id, IdView, Slice, ViewTmp, Detached):
    show("bw " + F.__name__, lambda: base_written(F))
show("bw Two", lambda: base_written(Two, 0))


def props(F, pick=None):
    x = leaf()
    a = x * 1
    y = F.apply(a)
    if pick is not None:
        y = y[pick]
    return (
        y._is_view(),
        y._base is a,
        y.is_leaf,
        y.requires_grad,
        y.data_ptr() == a.data_ptr(),
        y._version,
    )


for F in (Id, IdView, Slice, ViewTmp, Detached):
    show("props " + F.__name__, lambda: props(F))
show("props Two", lambda: props(Two, 0))
show("props ViewPair", lambda: props(ViewPair, 1))


def props0(F, pick=None):
    a = torch.ones(3)
    y = F.apply(a)
    if pick is not None:
        y = y[pick]
    return (
        y is a,
        y._is_view(),
        y._base is a,
        y.is_leaf,
        y.requires_grad,
        y.data_ptr() == a.data_ptr(),
        y._version,
    )


for F in (Id, IdView, Slice, ViewTmp, Detached):
    show("props0 " + F.__name__, lambda: props0(F))


def dirty(ctx, x):
    ctx.mark_dirty(x)
    x.mul_(2)
    return x


Dirty = function("Dirty", dirty, lambda ctx, g: g * 2)


def dirtyview():
    x = leaf()
    a = x * 1
    v = a[:2]
    w = a[1:]
    r = Dirty.apply(v)
    print(r is v, v.grad_fn.name(), w.grad_fn.name(), a._version, v._version)
    (a * torch.tensor([1.0, 10.0, 100.0])).sum().backward(retain_graph=True)
    print(x.grad)
    w.sum().backward()
    return x.grad, a.detach()


show("dirtyview", dirtyview)


def dirtyview_leaf():
    x = leaf()
    v = x[:2]
    return Dirty.apply(v)


show("dirtyview leaf", dirtyview_leaf)


def dirtyview_leaf2():
    x = leaf()
    v = x.detach()[:2]
    r = Dirty.apply(v)
    return r is v, r.requires_grad, x.detach()


show("dirtyview nograd", dirtyview_leaf2)


def dirtymulti():
    x = leaf()
    a = x * 1
    v, w, u = a.unbind()
    return Dirty.apply(v)


show("dirty multiview", dirtymulti)


def dirtynograd():
    x = leaf()
    with torch.no_grad():
        r = Dirty.apply(x)
    return r is x, r.requires_grad, r.is_leaf, x._version


show("dirty no grad", dirtynograd)


def dirty_nonreq():
    w = leaf()

    def fw(ctx, x, w):
        ctx.mark_dirty(x)
        x.add_(w)
        return x

    F = function("AddTo", fw, lambda ctx, g: (g, g))
    x = torch.zeros(3)
    r = F.apply(x, w)
    print(r is x, x.requires_grad, x.grad_fn)
    x.sum().backward()
    print(w.grad)
    b = torch.zeros(4)
    v = b[:3]
    r = F.apply(v, w)
    print(r is v, b.requires_grad, b.grad_fn, v.grad_fn)
    (b * 2).sum().backward()
    return w.grad


show("dirty nonreq", dirty_nonreq)


def dirty_no_write():
    def fw(ctx, x):
        ctx.mark_dirty(x)
        return x

    F = function("DNW", fw, passing)
    x = leaf() * 1
    v0 = x._version
    r = F.apply(x)
    return r is x, x._version - v0, x.grad_fn


show("dirty nowrite", dirty_no_write)


def dirty_twice():
    def fw(ctx, x):
        ctx.mark_dirty(x)
        return x, x

    F = function("DT", fw, lambda ctx, g, h: g + h)
    x = leaf()
    a = x * 1
    r, s = F.apply(a)
    print(r is a, s is a, r is s, r.grad_fn, s.grad_fn, r.output_nr, s.output_nr)
    (r * 2 + s).sum().backward()
    return x.grad


show("dirty twice", dirty_twice)


def same_twice():
    def fw(ctx, x):
        y = x * 2
        return y, y

    F = function("ST", fw, lambda ctx, g, h: g + 10 * h)
    x = leaf()
    r, s = F.apply(x)
    print(r is s, r.grad_fn, s.grad_fn, r.output_nr, s.output_nr, r._is_view(), s._is_view())
    (r * 2 + s).sum().backward()
    return x.grad


show("same twice", same_twice)


def in_twice():
    def fw(ctx, x):
        return x, x

    F = function("IT", fw, lambda ctx, g, h: g + 10 * h)
    x = leaf()
    r, s = F.apply(x)
    print(r is s, r.grad_fn, s.grad_fn, r.output_nr, s.output_nr, r._is_view(), s._is_view())
    (r * 2 + s).sum().backward()
    return x.grad


show("input twice", in_twice)


def ndother():
    def fw(ctx, x):
        ctx.mark_non_differentiable(torch.ones(2))
        return x * 1

    return function("NO", fw, passing).apply(leaf() * 1)


show("ndother", ndother)


def ndinput():
    def fw(ctx, x):
        ctx.mark_non_differentiable(x)
        return x

    x = leaf()
    y = function("NDI", fw, passing).apply(x)
    return y.requires_grad, y is x, x.requires_grad, y._is_view()


show("ndinput", ndinput)


def nddirty():
    def fw(ctx, x):
        ctx.mark_non_differentiable(x)
        ctx.mark_dirty(x)
        return x

    x = leaf() * 1
    y = function("NDD", fw, passing).apply(x)
    return y.requires_grad, y is x, x.requires_grad


show("nddirty", nddirty)


def ndall():
    def fw(ctx, x):
        y = x * 1
        ctx.mark_non_differentiable(y)
        return y

    x = leaf() * 1
    y = function("NDA", fw, passing).apply(x)
    return y.requires_grad, y.grad_fn


show("ndall", ndall)
