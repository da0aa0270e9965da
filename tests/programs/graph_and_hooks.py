# nodes, their hooks, hooks of tensors, edges, saved values
x = torch.ones(2, requires_grad=True)
w = torch.full((2,), 3.0, requires_grad=True)
y = x * w
node = y.grad_fn
print(node.name(), [n for _, n in node.next_functions], isinstance(node, torch.autograd.graph.Node))
leaf_node = node.next_functions[0][0]
print(
    type(leaf_node).__name__,
    leaf_node.variable is x,
    leaf_node is (x * 2).grad_fn.next_functions[0][0],
)
node.metadata["note"] = 1
print(y.grad_fn.metadata)
print(node._saved_self is x, node._saved_other, (y * 2.0).exp().grad_fn._saved_result)
print(node(torch.ones(2)))
log = []
handles = [
    x.register_hook(lambda g: log.append(("x", g.tolist()))),
    y.register_hook(lambda g: g * 2),
    y.register_hook(lambda g: log.append(("y", g.tolist()))),
    node.register_prehook(lambda g: log.append(("before", g[0].tolist()))),
    node.register_hook(lambda i, o: log.append(("after", [g.tolist() for g in i], o[0].tolist()))),
    leaf_node.register_prehook(lambda g: log.append(("leaf before", g[0].tolist()))),
    leaf_node.register_hook(lambda i, o: log.append(("leaf after", i, o[0].tolist()))),
    x.register_post_accumulate_grad_hook(lambda t: log.append(("done", t.grad.tolist()))),
]
y.retain_grad()
print(y.retains_grad, y.is_leaf, x.retains_grad, x.is_leaf)
y.sum().backward(retain_graph=True)
for entry in log:
    print(entry)
print(y.grad)
log.clear()
for handle in handles:
    handle.remove()
y.sum().backward()
print(log, x.grad)
attempt(lambda: torch.ones(2).register_hook(print))
attempt(lambda: torch.ones(2).retain_grad())
attempt(lambda: y.register_post_accumulate_grad_hook(print))
z = x * 2
z.register_hook(lambda g: torch.ones(3))
attempt(lambda: z.sum().backward())
z = x * 2
z.register_hook(lambda g: 3)
attempt(lambda: z.sum().backward())
z = x * w
z.grad_fn.register_hook(lambda i, o: (i[0] * 10, None))
x.grad = w.grad = None
z.sum().backward()
print(x.grad, w.grad)
# edges
edge = torch.autograd.graph.get_gradient_edge(y)
print(edge.output_nr, edge.node is y.grad_fn)
attempt(lambda: torch.autograd.graph.get_gradient_edge(torch.ones(2)))
y = x * x
edge = torch.autograd.graph.get_gradient_edge(y)
print(torch.autograd.grad((y * 5).sum(), edge))
print(torch.autograd.grad(edge, x, torch.ones(2)))
# several tensors
a, b, c = (torch.full((2,), v, requires_grad=True) for v in (1.0, 2.0, 3.0))
seen = []
torch.autograd.graph.register_multi_grad_hook(
    (a, b, c), lambda gs: seen.append([None if g is None else g.tolist() for g in gs])
)
torch.autograd.graph.register_multi_grad_hook(
    (a, b), lambda g: seen.append(("any", g.tolist())), mode="any"
)
(a * b * c).sum().backward()
(a * c).sum().backward()
print(len(seen), [s for s in seen if s[0] != "any"])
attempt(lambda: torch.autograd.graph.register_multi_grad_hook((a,), print, mode="some"))
# hooks after in-place operations
a = torch.ones(2, requires_grad=True)
b = a * 2
b.register_hook(lambda g: print("before in-place", g.tolist()))
b.retain_grad()
b.mul_(3)
b.register_hook(lambda g: print("after in-place", g.tolist()))
b.sum().backward()
print(b.grad, a.grad)
