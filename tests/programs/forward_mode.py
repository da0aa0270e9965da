# dual numbers
fwAD = torch.autograd.forward_ad
x = torch.tensor([1.0, 2.0])
t = torch.tensor([1.0, 10.0])
with fwAD.dual_level():
    d = fwAD.make_dual(x, t)
    y = d * d
    print(fwAD.unpack_dual(y))
    print(fwAD.unpack_dual(d[1]).tangent, fwAD.unpack_dual(d.sum()).tangent)
    print(fwAD.unpack_dual(x))
    z = d * 1
    z.mul_(3)
    print(fwAD.unpack_dual(z).tangent)
    base = torch.zeros(3)
    base[1:] = d
    print(fwAD.unpack_dual(base).tangent)
    view = base[1:]
    view.mul_(2)
    print(fwAD.unpack_dual(base).tangent, fwAD.unpack_dual(view).tangent)
    attempt(lambda: fwAD.make_dual(d, t))
    attempt(lambda: fwAD.make_dual(x, torch.ones(3)))
    attempt(lambda: fwAD.make_dual(torch.ones(2, dtype=torch.int64), t))
    attempt(lambda: fwAD.dual_level().__enter__())
    r = torch.tensor([1.0, 2.0], requires_grad=True)
    f = fwAD.make_dual(r, t)
    y = (f * f * f).sum()
    (g,) = torch.autograd.grad(y, r, create_graph=True)
    print(g.detach(), fwAD.unpack_dual(g).tangent.detach())
    with torch.no_grad():
        print(fwAD.unpack_dual(d * 2).tangent)
    print(fwAD.unpack_dual(d.detach()).tangent)
attempt(lambda: fwAD.make_dual(x, t))
print(fwAD.unpack_dual(x))
attempt(lambda: fwAD.exit_dual_level())
