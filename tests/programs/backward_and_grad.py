# backward() and grad(): arguments, accumulation, errors
x = torch.ones(2, 2, requires_grad=True)
w = torch.full((2, 2), 3.0, requires_grad=True)
y = x * w
torch.autograd.backward([y.sum(), (y * y).sum()])
print(x.grad, w.grad)
y = x * w
torch.autograd.backward((y, y), (torch.ones(2, 2), torch.full((2, 2), 2.0)), inputs=[x])
print(x.grad, w.grad)
y = x * w
print(torch.autograd.grad(y, (x, w), torch.ones(2, 2), retain_graph=True))
print(torch.autograd.grad([y, y.sum()], x, [torch.ones(2, 2), None], retain_graph=True))
print(
    torch.autograd.grad(y, x, torch.ones(3, 2, 2), is_grads_batched=True, retain_graph=True)[
        0
    ].shape
)
unused = torch.ones(3, requires_grad=True)
print(torch.autograd.grad(y.sum(), (x, unused), allow_unused=True, retain_graph=True))
print(torch.autograd.grad(y.sum(), (x, unused), materialize_grads=True, retain_graph=True))
(g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
print(g.detach(), g.requires_grad, torch.autograd.grad(g.sum(), x))
attempt(lambda: (x * w).backward())
attempt(lambda: (x * w).backward(torch.ones(3)))
attempt(lambda: torch.autograd.backward([x.sum(), x.sum()], [torch.ones(())]))
attempt(lambda: torch.autograd.backward(y.sum(), inputs=[]))
attempt(lambda: torch.autograd.grad(y.sum(), []))
attempt(lambda: torch.autograd.grad(y.sum(), torch.ones(2)))
attempt(lambda: torch.autograd.grad(y.sum(), unused))
attempt(lambda: torch.ones(1).backward())
attempt(lambda: torch.autograd.grad(y.sum(), x, materialize_grads=True, allow_unused=False))
attempt(lambda: torch.autograd.grad(y, x, torch.ones(2, 2, 3), is_grads_batched=True))
y = (x * w).sum()
y.backward()
attempt(lambda: y.backward())
attempt(lambda: y.grad_fn.next_functions[0][0]._saved_self)
for wrong in (3, torch.ones(3), torch.ones(2, 2, dtype=torch.float64), x):
    attempt(lambda: setattr(x, "grad", wrong))
x.grad = torch.zeros(2, 2)
held = x.grad
(x * 2).sum().backward()
print(held, x.grad is held)
del x.grad
print(x.grad)
x.grad = None
non_leaf = x * 2
(non_leaf * non_leaf).sum().backward(inputs=[non_leaf, x])
print(non_leaf.grad, x.grad)
half = torch.ones(2, dtype=torch.float64, requires_grad=True)
(half * torch.ones(2)).sum().backward()
print(half.grad)
# a permuted leaf
p = torch.ones(3, 2).t().requires_grad_()
(p * 2).sum().backward()
print(p.grad.stride())
# dtype of gradients through promotion
single = torch.ones(2, requires_grad=True)
(single * torch.ones(2, dtype=torch.float64)).sum().backward()
print(single.grad)
# multi-output nodes
a = torch.arange(4.0, requires_grad=True)
first, second = a.split(2)
(second * 3).sum().backward()
print(a.grad, second.output_nr, first.grad_fn is second.grad_fn)
values, indices = a.max(0)
print(values.requires_grad, indices.requires_grad)
attempt(lambda: torch.autograd.grad(first.sum(), second))
