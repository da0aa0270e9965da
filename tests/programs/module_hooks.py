# hooks of modules, before and after calls and on gradients
nn = torch.nn
log = []
x = torch.tensor([1.0, 2.0])


def linear(weight):
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, weight)
    nn.init.zeros_(module.bias)
    return module


m = linear(1.0)
handle = m.register_forward_hook(lambda module, args, out: log.append(("f", args, out.detach())))
m.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
print(m(x).detach(), log)
handle.remove()
log.clear()
m.register_forward_pre_hook(
    lambda module, args, kwargs: log.append((args, kwargs)), with_kwargs=True, prepend=True
)
m.register_forward_hook(lambda module, args, kwargs, out: out * 10, with_kwargs=True)
m.register_forward_hook(lambda module, args, out: out + 1, prepend=True)
print(m(x).detach(), log)
m = linear(1.0)
m.register_forward_pre_hook(lambda module, args: args[0] * 3)
print(m(x).detach())
m.register_forward_pre_hook(lambda module, args, kwargs: ((args[0] + 1,), kwargs), with_kwargs=True)
print(m(x).detach())
m.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
attempt(lambda: m(x), True)
m = linear(1.0)
m.register_forward_hook(lambda module, args, out: log.append("always"), always_call=True)
m.register_forward_hook(lambda module, args, out: log.append("not after errors"))
log.clear()
attempt(lambda: m(torch.ones(7)))
print(log)

# gradients
m = linear(3.0)
log.clear()
m.register_full_backward_hook(lambda module, gi, go: log.append(("b", gi, go)))
m.register_full_backward_pre_hook(lambda module, go: log.append(("bp", go)))
a = torch.ones(2, requires_grad=True)
m(a).sum().backward()
print(log, a.grad, m.weight.grad)
m = linear(3.0)
m.register_full_backward_hook(lambda module, gi, go: (gi[0] * 100,))
m.register_full_backward_pre_hook(lambda module, go: (go[0] * 10,))
a = torch.ones(2, requires_grad=True)
m(a).sum().backward()
print(a.grad, m.weight.grad)
m.register_full_backward_hook(lambda module, gi, go: (gi[0], 3))
attempt(lambda: m(torch.ones(2, requires_grad=True)).sum().backward(), True)
m = linear(3.0)
log.clear()
m.register_full_backward_hook(lambda module, gi, go: log.append("first"))
m.register_full_backward_hook(lambda module, gi, go: log.append("second"), prepend=True)
m(torch.ones(2, requires_grad=True)).sum().backward()
print(log)


class Two(nn.Module):
    def forward(self, a, b, c=1):
        return a * b, a + 1


m = Two()
log.clear()
handle = m.register_full_backward_hook(lambda module, gi, go: log.append(("b", gi, go)))
a, b = torch.ones(1, requires_grad=True), torch.tensor([3.0])
m(a, b)[0].sum().backward()
print(log)
log.clear()
a.grad = None
out = m(a, b, c=4)
(out[0] + out[1]).sum().backward()
print(log, a.grad)
log.clear()
out = m(a, b)
gradient = torch.autograd.grad((out[0] * out[0]).sum(), a, create_graph=True)[0]
print(gradient.detach(), [g.detach() for g in log[0][1]])
gradient.sum().backward()
print(len(log))
handle.remove()
log.clear()
m(a, b)[0].sum().backward()
print(log)
with torch.no_grad():
    m.register_full_backward_hook(lambda module, gi, go: None)
    print(m(a, b)[0].requires_grad)
net = nn.Sequential(linear(1.0), nn.Identity())
log.clear()
for name, module in net.named_modules():
    module.register_full_backward_hook(lambda module, gi, go, name=name: log.append(name))
    module.register_forward_hook(lambda module, args, out, name=name: log.append("f" + name))
net(torch.ones(1, 2, requires_grad=True)).sum().backward()
print(log)
