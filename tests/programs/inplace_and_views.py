# in-place operations, views, version counters
x = torch.ones(2, 2, requires_grad=True)
attempt(lambda: x.add_(1))
attempt(lambda: x[0].add_(1))
attempt(lambda: x.__setitem__(0, 1.0))
with torch.no_grad():
    x.add_(1)
    x[0] = 5
print(x, x._version)
b = x * 1
v = b[0]
v.mul_(3)
print(b._version, v._version, type(b.grad_fn).__name__, v.grad_fn is not None, v._base is b)
b.sum().backward()
print(x.grad)
b = x * 1
v = b.view(4)
b[:, 1] = torch.tensor([10.0, 20.0])
print(v, b.grad_fn is not None)
x.grad = None
(v * torch.arange(4.0)).sum().backward()
print(x.grad)
b = x * 1
first, second = b.unbind()
attempt(lambda: first.add_(1))
with torch.no_grad():
    chunks = b.split(1)
    made = b[0]
attempt(lambda: chunks[0].add_(1))
attempt(lambda: made.add_(x[0]))
y = x.exp()
z = y * y
y.add_(1)
attempt(lambda: z.sum().backward())
d = y.detach()
print(d._version == y._version, d.requires_grad)
d.add_(1)
print(d._version == y._version)
e = y.data
e.add_(1)
print(e._version, e.requires_grad)
attempt(lambda: setattr(x * 2, "requires_grad", False))
attempt(lambda: (x * 2)[0].detach_())
n = (x * 2).detach_()
print(n.requires_grad, n.is_leaf)
f = x * 2
f.zero_()
print(f.requires_grad, f.grad_fn is not None)
g = torch.zeros(2, 2)
g[0] = x[0] * 2
print(g.requires_grad)
g.copy_(x)
x.grad = None
g.sum().backward()
print(x.grad)
i = torch.ones(2, 2, dtype=torch.int64)
attempt(lambda: i.add_(1.5))
attempt(lambda: i.div_(2))
attempt(lambda: torch.ones(2).add_(torch.ones(3, 2)))
attempt(lambda: torch.ones(2, 1).expand(2, 2).add_(1))
out = torch.empty(2)
print(torch.add(torch.ones(2), 2.0, out=out) is out, out)
attempt(lambda: torch.mul(x, x, out=torch.empty(2, 2)))
attempt(lambda: torch.add(torch.ones(2), torch.ones(2), out=torch.empty(2, dtype=torch.int64)))
t = torch.arange(6.0).view(2, 3)
print(t.t_().shape, t.unsqueeze_(0).shape, t.squeeze_().shape, t.transpose_(0, 1).shape)
mask = torch.tensor([[True, False], [False, True]])
h = x * 1
h[mask] = 0.0
h[..., 0] += 1
h[None, 1] *= 2
x.grad = None
h.sum().backward()
print(x.grad)
h = x * 1
h[torch.tensor([1, 0])] = x * 2
x.grad = None
(h * h).sum().backward()
print(x.grad)
r = x * 2
r.retain_grad()
r.mul_(3)
r.sum().backward()
print(r.grad)
