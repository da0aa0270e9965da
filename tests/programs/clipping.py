# nn.utils: limits on gradients, parameters as a vector
nn = torch.nn
inf = float("inf")


def parameters(dtype=torch.float64):
    ps = [nn.Parameter(torch.arange(1.0, n + 1, dtype=dtype).reshape(1, n)) for n in (1, 2, 3)]
    for p in ps[1:]:
        p.grad = p.detach() * -2 + 3
    return ps


def shown(ps):
    return [
        None if p.grad is None else [round(v, 6) for v in p.grad.flatten().tolist()] for p in ps
    ]


for norm_type in (2, 2.0, 1, 3.5, inf, -inf, 0, "inf"):
    for max_norm in (0.5, 100):
        ps = parameters()
        total = nn.utils.clip_grad_norm_(ps, max_norm, norm_type)
        print(norm_type, round(total.item(), 6), total.dtype, total.shape, shown(ps))
ps = parameters()
print(nn.utils.clip_grad_norm_((p for p in ps), 1.0).item() > 0, shown(ps))
print(nn.utils.clip_grad_norm_(ps[1], max_norm=0.1), shown(ps))
print(nn.utils.clip_grad_norm_([], 1.0), nn.utils.clip_grad_norm_(ps[0], 1.0))
print(nn.utils.get_total_norm([p.grad for p in ps[1:]], 1.0), nn.utils.get_total_norm([]))
print(nn.utils.get_total_norm(ps[2], inf).requires_grad)
ps = parameters()
nn.utils.clip_grads_with_norm_(ps, 1.0, torch.tensor(4.0))
print(shown(ps))
ps[2].grad[0, 0] = inf
attempt(lambda: nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True), True)
print(shown(ps))
print(nn.utils.clip_grad_norm_(ps, 1.0), shown(ps))
ps = parameters()
print(nn.utils.clip_grad_value_(ps, 1.5), shown(ps))
nn.utils.clip_grad_value_(ps[2], 1), nn.utils.clip_grad_value_((p for p in ps), 0.5)
print(shown(ps))
attempt(lambda: nn.utils.clip_grad_norm_([3], 1.0))

ps = parameters(torch.float32)
vec = nn.utils.parameters_to_vector(ps)
print(vec, vec.requires_grad)
print(torch.autograd.grad((vec * vec).sum(), ps[1]))
new = torch.arange(6.0)
nn.utils.vector_to_parameters(new, ps)
print(ps, isinstance(ps[0], nn.Parameter))
new.add_(1)
print(ps[2].tolist())
attempt(lambda: nn.utils.vector_to_parameters([1.0], ps))
attempt(lambda: nn.utils.parameters_to_vector([]))
nn.utils.vector_to_parameters(torch.arange(9.0), ps)
attempt(lambda: nn.utils.vector_to_parameters(torch.arange(3.0), ps))
attempt(lambda: nn.utils.parameters_to_vector([torch.ones(2, 3).t()]))
