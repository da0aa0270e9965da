# dual tensors: what operations do to tangents
fwAD = torch.autograd.forward_ad


def show(label, f):
    """Print what `f` returns, or the error with the beginning of its text."""
    try:
        print(label, f())
    except Exception as error:
        print(label, type(error).__name__, str(error).splitlines()[0][:50])


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def dual(v=(1.0, 2.0, 3.0), t=(1.0, 10.0, 100.0), rg=False):
    return fwAD.make_dual(torch.tensor(v, requires_grad=rg), torch.tensor(t))


def tan(y):
    return fwAD.unpack_dual(y).tangent


def L(label, f):
    def g():
        with fwAD.dual_level():
            return f()

    show(label, g)


L("print", lambda: (dual(), str(dual()), repr(dual() * 2)))
L("print rg", lambda: dual(rg=True))
L("print 2d", lambda: fwAD.make_dual(torch.ones(2, 2), torch.ones(2, 2)) * 2)
L(
    "print f64",
    lambda: (
        fwAD.make_dual(torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)) * 2
    ),
)
L("print 0d", lambda: dual().sum())


def base_regen():
    x = leaf()
    r = x * 1
    d = fwAD.make_dual(r, torch.ones(3))
    r.mul_(3)
    print(tan(d), tan(r), d.grad_fn)
    d.sum().backward()
    return x.grad


L("base regen", base_regen)


def base_regen2():
    x = leaf()
    r = x * 1
    d = fwAD.make_dual(r, torch.ones(3))
    d.mul_(3)
    print(tan(d).detach(), tan(r), d.grad_fn, r.grad_fn)
    r.sum().backward()
    return x.grad


L("dual written", base_regen2)


def leaf_written():
    x = leaf()
    d = fwAD.make_dual(x, torch.ones(3))
    d.mul_(3)


L("leaf dual written", leaf_written)


def primal_written():
    x = torch.ones(3)
    d = fwAD.make_dual(x, torch.ones(3))
    p = fwAD.unpack_dual(d).primal
    p.mul_(dual())
    return tan(d), tan(p), tan(x), x, d


L("primal written", primal_written)


def tangent_is():
    t = torch.ones(3)
    x = torch.ones(3)
    d = fwAD.make_dual(x, t)
    u = tan(d)
    print(
        u is t, u.data_ptr() == t.data_ptr(), u._is_view(), u._base is t, d._is_view(), d._base is x
    )
    d.mul_(2)
    print(t, u, x)
    t.mul_(5)
    return tan(d)


L("tangent is", tangent_is)


def bcast():
    t = torch.ones(3).expand(2, 3)
    x = torch.ones(2, 3)
    d = fwAD.make_dual(x, t)
    print(tan(d).stride())
    d[0].mul_(3)
    return tan(d)


L("expanded tangent", bcast)


def views():
    d = dual()
    v = d[1:]
    w = d[:2]
    v.mul_(2)
    print(tan(d), tan(v), tan(w))
    d.mul_(2)
    print(tan(d), tan(v), tan(w), d)
    v.zero_()
    print(tan(d), tan(v), tan(w), d)
    w.copy_(torch.ones(2))
    print(tan(d), tan(v), tan(w), d)
    w.copy_(dual()[:2])
    print(tan(d), tan(v), tan(w), d)
    d[0] = dual()[2]
    print(tan(d), d)
    d[torch.tensor([True, False, True])] = 0.0
    print(tan(d), d)
    d[torch.tensor([0, 1])] = dual()[1:]
    print(tan(d), d)
    d.fill_(dual()[1])
    print(tan(d))
    return tan(v), tan(w)


L("views", views)


def newbase():
    b = torch.zeros(2, 3)
    v = b[0]
    r = b[1]
    v2 = v[1:]
    d = dual()
    v.copy_(d)
    print(tan(b), tan(v), tan(r), tan(v2))
    v2.mul_(3)
    print(tan(b), tan(v))
    r.add_(d[0])
    return tan(b), tan(b.t()), b


L("newbase", newbase)


def newbase2():
    b = torch.zeros(2, 3)
    b.add_(dual())
    print(tan(b))
    b.t_() if hasattr(b, "t_") else None
    return tan(b), b.shape


L("newbase2", newbase2)


def inplaceops():
    for name, f in {
        "add_": lambda x: x.add_(dual()),
        "exp_": lambda x: x.exp_(),
        "div_": lambda x: x.div_(dual()),
        "pow_": lambda x: x.pow_(2),
        "sub_": lambda x: x.sub_(1),
        "clamp_": lambda x: x.clamp_(0, 2),
        "iadd": lambda x: x.__iadd__(dual()),
        "zero_": lambda x: x.zero_(),
        "fill_": lambda x: x.fill_(3),
        "copy_": lambda x: x.copy_(torch.ones(3)),
        "relu_": lambda x: torch.relu_(x),
        "mf": lambda x: x.masked_fill_(torch.tensor([True, False, False]), 0.0),
        "neg_": lambda x: x.neg_(),
        "sqrt_": lambda x: x.sqrt_(),
        "unsq": lambda x: x.unsqueeze_(0),
        "uniform_": lambda x: x.uniform_().zero_(),
        "index_add": lambda x: x.index_add_(0, torch.tensor([0]), dual()[:1]),
        "scatter": lambda x: x.scatter_(0, torch.tensor([0]), dual()[2:]),
        "scatter_add": lambda x: x.scatter_add_(0, torch.tensor([0]), dual()[2:]),
        "requires_grad_": lambda x: x.requires_grad_(),
        "data": lambda x: x.data,
        "detach": lambda x: x.detach(),
        "clone": lambda x: x.clone(),
        "to": lambda x: x.to(torch.float64),
        "float": lambda x: x.float(),
        "long": lambda x: x.long(),
        "contiguous": lambda x: x.contiguous(),
        "eq": lambda x: x == x,
        "argmax": lambda x: x.argmax(),
        "max": lambda x: x.max(),
        "sort": lambda x: x.sort()[0],
        "item": lambda x: torch.tensor(x[0].item()),
        "numpy": lambda x: torch.tensor(x.numpy()),
        "deepcopy": lambda x: __import__("copy").deepcopy(x),
        "copy": lambda x: __import__("copy").copy(x),
        "stack": lambda x: torch.stack([x, torch.ones(3)]),
        "cat": lambda x: torch.cat([torch.ones(1), x]),
        "ones_like": lambda x: torch.ones_like(x),
        "zeros_like": lambda x: torch.zeros_like(x),
        "where": lambda x: torch.where(x > 1, x, torch.zeros(3)),
        "unbind": lambda x: x.unbind()[1],
        "split": lambda x: x.split(2)[0],
        "iter": lambda x: list(x)[2],
        "out": lambda x: torch.add(x, x, out=torch.zeros(3)),
        "from": lambda x: torch.nn.Parameter(x),
    }.items():

        def g():
            d = dual()
            y = f(d)
            return y is d, tan(y), tan(d)

        L(name, g)


inplaceops()


def out():
    o = torch.zeros(3)
    torch.mul(dual(), dual(), out=o)
    return tan(o)


L("out", out)


def ngrad():
    d = dual(rg=True)
    with torch.no_grad():
        y = d * d
        d.detach().mul_(2)
    return tan(y), tan(d), y.requires_grad


L("nograd", ngrad)


def tanrg():
    x = leaf()
    t = leaf(1.0, 1.0, 1.0)
    d = fwAD.make_dual(x, t)
    y = (d * d * d).sum()
    yt = tan(y)
    print(torch.autograd.grad(yt, (x, t), retain_graph=True))
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    gt = tan(g)
    print(gt)
    return torch.autograd.grad(gt.sum(), (x, t))


L("tangent requires grad", tanrg)


def tanrg_inplace2():
    t = leaf(1.0, 1.0, 1.0) * 1
    d = fwAD.make_dual(torch.ones(3), t)
    d.mul_(2)
    return tan(d) is t, t


L("tangent in place", tanrg_inplace2)


def backward_acc():
    x = leaf()
    d = fwAD.make_dual(x, torch.ones(3))
    (d * d).sum().backward()
    return x.grad, tan(x.grad)


L("backward grad tangent", backward_acc)


def hookgrad():
    x = leaf()
    d = fwAD.make_dual(x, torch.ones(3))
    y = d * d
    y.register_hook(lambda g: print("hook", g, tan(g)))
    x.register_hook(lambda g: print("hook x", tan(g)))
    y.sum().backward()


L("hook", hookgrad)


def gradout():
    x = leaf()
    y = x * x
    go = dual((1.0, 1.0, 1.0))
    (g,) = torch.autograd.grad(y, x, go)
    return tan(g)


L("grad_outputs dual", gradout)


def levels():
    level = fwAD.enter_dual_level()
    show("nested", lambda: fwAD.enter_dual_level())
    d = dual()
    print(level, fwAD.unpack_dual(d, level=0))
    show("lvl1", lambda: fwAD.unpack_dual(d, level=1))
    show("mk1", lambda: fwAD.make_dual(torch.ones(1), torch.ones(1), level=1))
    show("exit1", lambda: fwAD.exit_dual_level(level=1))
    fwAD.exit_dual_level(level=0)
    show("mk", lambda: fwAD.make_dual(torch.ones(1), torch.ones(1)))
    show("un", lambda: fwAD.unpack_dual(d))
    show("un lvl", lambda: fwAD.unpack_dual(d, level=0))
    return d


show("levels", levels)


@fwAD.dual_level()
def deco():
    return tan(dual() * 2)


show("deco", deco)
L("int", lambda: fwAD.make_dual(torch.ones(3, dtype=torch.int64), torch.ones(3)))
L("int t", lambda: fwAD.make_dual(torch.ones(3), torch.ones(3, dtype=torch.int64)))
L("f64 t", lambda: tan(fwAD.make_dual(torch.ones(3), torch.ones(3, dtype=torch.float64))))
L("dual tangent", lambda: tan(fwAD.make_dual(torch.ones(3), dual())))
L("shape", lambda: fwAD.make_dual(torch.ones(3), torch.ones(1, 3)))
L("unpack nondual is", lambda: fwAD.unpack_dual(x := torch.ones(3)).primal is x)
L("unpack tuple", lambda: tuple(fwAD.unpack_dual(dual())))
L("int ops", lambda: (tan(dual() > 1), tan(dual().long()), tan(dual().argmax())))


def mixed():
    d = dual()
    y = d * torch.ones(3, dtype=torch.float64)
    return y.dtype, tan(y).dtype


L("mixed dtype", mixed)


def scalars():
    d = dual()[0]
    return (
        tan(d * 2),
        tan(2**d),
        tan(d**2),
        tan(1 / d),
        tan(d + torch.ones(2)),
        tan(-d),
        tan(abs(d)),
    )


L("scalars", scalars)


def param():
    lin = torch.nn.Linear(3, 1)
    with torch.no_grad():
        for p in lin.parameters():
            p.fill_(0.5)
    y = lin(dual())
    return tan(y).detach()


L("linear", param)
