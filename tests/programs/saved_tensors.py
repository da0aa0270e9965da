# hooks that pack what nodes save
graph = torch.autograd.graph
x = torch.full((2,), 2.0, requires_grad=True)
log = []


def pack(t):
    log.append(("pack", [round(v, 3) for v in t.tolist()], t is x, torch.is_grad_enabled()))
    return t.detach() * 1


def unpack(t):
    log.append(("unpack", [round(v, 3) for v in t.tolist()]))
    return t


with graph.saved_tensors_hooks(pack, unpack):
    y = x * x
    z = y.exp()
print(log)
log.clear()
(z * 2).sum().backward()
print(sorted(log))
attempt(lambda: z.grad_fn._saved_result)
with graph.saved_tensors_hooks(lambda t: 1, lambda t: "two"):
    y = x * x
attempt(lambda: y.sum().backward())
with graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t):
    attempt(lambda: x.detach().requires_grad_().exp().mul(x))
with graph.disable_saved_tensors_hooks("not here"):
    attempt(lambda: graph.saved_tensors_hooks(pack, unpack).__enter__())
    y = x * x
with graph.save_on_cpu():
    y = x * x
x.grad = None
y.sum().backward()
print(x.grad)
a = torch.full((2,), 0.0, requires_grad=True)
with graph.allow_mutation_on_saved_tensors():
    b = a.clone()
    c = b.sin()
    b.cos_()
    c.sum().backward()
print(a.grad)
attempt(lambda: graph.increment_version(1))
b = a.clone()
c = b * b
graph.increment_version([b])
attempt(lambda: c.sum().backward())
raw = (x * x).grad_fn._raw_saved_self
raw.register_hooks(lambda t: t, lambda t: t)
attempt(lambda: raw.register_hooks(lambda t: t, lambda t: t))


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t):
        ctx.save_for_backward(t)
        return t * t

    @staticmethod
    def backward(ctx, g):
        (t,) = ctx.saved_tensors
        return 2 * t * g


log.clear()
with graph.saved_tensors_hooks(pack, unpack):
    y = Square.apply(x)
y.sum().backward()
print(log)
