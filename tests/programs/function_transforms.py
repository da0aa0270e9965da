# func: grad, vjp, jvp, jacobians, composed
from collections import namedtuple

func = torch.func
x = torch.tensor([1.0, 2.0, 3.0])


def cube(t):
    return (t**3).sum()


print(func.grad(cube)(x))
print(func.grad(lambda t: func.grad(cube)(t).sum())(x))
print(func.grad_and_value(cube)(x))
print(func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x * 2))
print(func.grad(lambda a, b: (a * b).sum(), argnums=1)(x, x * 2))
print(func.grad(lambda t: (cube(t), {"twice": t * 2}), has_aux=True)(x))
print(func.grad(lambda p: (p["w"] * p["b"][0]).sum())({"w": x, "b": [x * 2]}))
Pair = namedtuple("Pair", "a b")
print(func.grad(lambda p: (p.a * p.b).sum())(Pair(x, x * 2)))
value, vjp = func.vjp(lambda t: t * t, x)
print(value, vjp(torch.ones(3)))
value, vjp, aux = func.vjp(lambda t: (t * t, t + 1), x, has_aux=True)
print(aux)
print(func.jvp(lambda t: t * t, (x,), (torch.ones(3),)))
print(func.jvp(lambda t: (t * t, t), (x,), (torch.ones(3),), has_aux=True))
print(func.jacrev(lambda t: t * t)(x))
print(func.jacfwd(lambda t: t * t)(x))
print(func.jacrev(lambda a, b: {"p": a * b, "q": a.sum()}, argnums=(0, 1))(x, x))
print(func.hessian(cube)(x))
print(func.jacfwd(func.jacfwd(cube))(x))
print(func.jacrev(func.jacrev(cube))(x))
print(func.jacrev(func.jacfwd(cube))(x))
print(func.jvp(func.grad(cube), (x,), (torch.ones(3),)))
print(func.grad(lambda t: func.jvp(cube, (t,), (torch.ones(3),))[1])(x))
print(func.jvp(lambda t: func.jvp(cube, (t,), (torch.ones(3),))[1], (x,), (torch.ones(3),)))
# perturbation confusion
print(func.grad(lambda a: a * func.grad(lambda b: a * b)(torch.tensor(2.0)))(torch.tensor(3.0)))
print(
    func.jvp(
        lambda a: a * func.jvp(lambda b: a + b, (torch.tensor(2.0),), (torch.tensor(1.0),))[1],
        (torch.tensor(3.0),),
        (torch.tensor(1.0),),
    )
)
w = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)
g = func.grad(lambda t: (t * t * w).sum())(x)
print(g.requires_grad)
g.sum().backward()
print(w.grad)
print(func.grad(cube)(w).requires_grad, func.grad(cube)(x).requires_grad)
with torch.no_grad():
    print(func.grad(cube)(x))


def quiet(t):
    with torch.no_grad():
        c = t * t
    return (t - c).sum()


print(func.grad(quiet)(x))
attempt(lambda: func.grad(lambda t: t * t)(x))
attempt(lambda: func.grad(cube)(3.0))
attempt(lambda: func.jvp(cube, (x,), (torch.ones(2),)))
attempt(lambda: func.jvp(cube, x, x))
attempt(lambda: func.grad(lambda t: 3.0)(x))
attempt(lambda: func.grad(cube, argnums=2)(x))
attempt(lambda: func.vjp(lambda t: t * t, x)[1](torch.ones(2)))
linear = torch.nn.Linear(3, 1)
params = {"weight": torch.ones(1, 3), "bias": torch.zeros(1)}
print(func.functional_call(linear, params, (x,)))
print(func.grad(lambda p: func.functional_call(linear, p, (x,)).sum())(params))


# arguments and structures
def pair(a, b):
    return (a * b).sum()


print(func.grad(pair, argnums=-1)(x, x * 2))
print(func.grad(lambda a, k=None: (a * k).sum())(x, k=x))
print(func.grad(lambda a: (a["u"] * a["v"][0]).sum() * 0 + a["u"].sum())({"u": x, "v": [x, x]}))
for numbers in (0.5, 2, -3, (0, 0), (), [0, 1], (0, 5)):
    attempt(lambda: func.grad(pair, argnums=numbers)(x, x), True)
attempt(lambda: func.grad(lambda t: (t.sum(), t))(x))
attempt(lambda: func.grad(cube, has_aux=True)(x), True)
attempt(lambda: func.grad(lambda t: (t.sum(), t, t), has_aux=True)(x), True)
attempt(lambda: func.grad(lambda t: (t.sum(), 3), has_aux=True)(x))
attempt(lambda: func.grad(lambda t: t.sum())(torch.tensor([1, 2])))
attempt(lambda: func.grad(lambda p: p["a"].sum())({"a": x, "b": None}))
attempt(lambda: func.grad(lambda t: t.add_(1).sum())(x.clone()), True)
print(func.grad(lambda t: torch.ones(()))(x), func.grad(lambda t: t.sum().long())(x))
print(func.grad_and_value(lambda t: (cube(t), t), has_aux=True)(x))


# vjp
def two(t):
    return {"a": t * t, "b": [t.sum()]}


print(func.vjp(two, x)[1]({"a": x, "b": [torch.ones(())]}))
attempt(lambda: func.vjp(two, x)[1]({"a": x}), True)
attempt(lambda: func.vjp(lambda t: t, 3.0), True)
attempt(lambda: func.vjp(lambda t: 3.0, x), True)
attempt(lambda: func.vjp(lambda t: None, x), True)
attempt(lambda: func.vjp(lambda t: (t, None), x))
pull = func.vjp(lambda a, b: (a * b, a), x, x)[1]
print(pull((torch.ones(3), torch.ones(3))), pull((x, x)))
attempt(lambda: pull(torch.ones(3), torch.ones(3)))
leaf = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
value, pull = func.vjp(lambda t: t * t, leaf)
value.sum().backward()
print(leaf.grad, pull(x)[0].detach())
with torch.no_grad():
    print(pull(leaf))

# jvp
attempt(lambda: func.jvp(cube, [x], [x]), True)
attempt(lambda: func.jvp(lambda: x, (), ()), True)
attempt(lambda: func.jvp(cube, (x,), (x, x)))
attempt(lambda: func.jvp(cube, (3.0,), (1.0,)), True)
attempt(lambda: func.jvp(lambda t: 3.0, (x,), (x,)), True)
attempt(lambda: func.jvp(lambda t: None, (x,), (x,)), True)
attempt(lambda: func.jvp(cube, (x,), (x,), has_aux=True), True)
attempt(lambda: func.jvp(lambda t: x, (x,), (x,), strict=True), True)
attempt(lambda: func.jvp(cube, (torch.tensor([1, 2]),), (torch.tensor([1, 2]),)), True)
print(func.jvp(lambda t: x, (x,), (x,)), func.jvp(lambda t: t.long(), (x,), (x,)))
print(func.jvp(lambda t: {"r": t["a"] * 2}, ({"a": x},), ({"a": x},)))
print(func.jvp(quiet, (x,), (x,)), func.jvp(lambda t: t.detach() * t, (x,), (x,)))
print([t.requires_grad for t in func.jvp(lambda t: t * t, (leaf,), (x,))])
print([t.requires_grad for t in func.jvp(lambda t: t * t, (x,), (leaf,))])
with torch.no_grad():
    print(func.jvp(lambda t: t * t, (leaf,), (leaf,)))
changed = x.clone()
print(func.jvp(lambda t: t.add_(1).sum(), (changed,), (x,)), changed)

# Jacobians
for jacobian in (func.jacrev, func.jacfwd):
    print(jacobian(lambda a, b: (a * b, {"s": a.sum()}), argnums=(0, 1))(x, x))
    print(jacobian(lambda p: p["a"] * p["b"])({"a": x, "b": x}))
    print(jacobian(lambda p: [p[0] * p[1]])((x, x)))
    print(jacobian(lambda a, b: a * b, argnums=(1,))(x, x))
    print(jacobian(lambda t: (t * t, {"x": t}), has_aux=True)(x))
    print(jacobian(lambda t: t.sum(0))(torch.ones(2, 2)))
    print(jacobian(lambda t: t * t)(torch.tensor(2.0)), jacobian(lambda t: x)(x))
    print(jacobian(lambda t: t * t)(torch.ones(0)), jacobian(lambda t: t * t)(leaf).requires_grad)
    attempt(lambda: jacobian(lambda t: 3.0)(x))
    attempt(lambda: jacobian(lambda t: t, argnums=5)(x), True)
    attempt(lambda: jacobian(lambda t: (t, 3), has_aux=True)(x))
attempt(lambda: func.jacrev(lambda t: t.long())(x), True)
attempt(lambda: func.jacrev(lambda t: t, chunk_size=0)(x), True)
attempt(lambda: func.jacfwd(lambda t: t * torch.randn(3))(x))
attempt(lambda: func.jacfwd(lambda t: t * torch.randn(3), randomness="same")(x))
attempt(lambda: func.jacfwd(lambda t: t, randomness="other")(x), True)
print(func.hessian(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x))
print(func.hessian(lambda p: (p["a"] * p["b"]).sum())({"a": x, "b": x}))

# a graph outside
leaf.grad = None
func.hessian(lambda t: (t**4).sum())(leaf).sum().backward()
print(leaf.grad)
gradient, value = func.grad_and_value(lambda t: (t * 2).sum())(leaf)
print(gradient.requires_grad, value.requires_grad)
with torch.no_grad():
    print(func.grad_and_value(lambda t: (t * leaf).sum())(leaf))
    print(func.grad(lambda t: func.grad(cube)(t).sum())(x))


def half(t):
    with torch.no_grad():
        inner = func.grad(cube)(t)
    return (inner * t).sum()


print(func.grad(half)(x))


def fresh(t):
    y = torch.zeros(3)
    y.copy_(t)
    y.mul_(2)
    return (y * t).sum()


print(func.grad(fresh)(x), func.jvp(fresh, (x,), (x,)))
print(func.grad(lambda t: torch.autograd.grad((t * t).sum(), t, create_graph=True)[0].sum())(x))

# functional_call
call = func.functional_call
attempt(lambda: call(linear, 3, (x,)), True)
attempt(lambda: call(linear, [params, {"bias": x}], (x,)), True)
attempt(lambda: call(linear, [params, 3], (x,)), True)
attempt(lambda: call(linear, {"weight": 3}, (x,)))
attempt(lambda: call(linear, {"weight": params["weight"]}, (x,), strict=True), True)
attempt(lambda: call(linear, {**params, "other": x}, (x,), strict=True), True)
attempt(lambda: call(linear, {**params, "other": x}, (x,)))
print(call(linear, params, x), call(linear, params, kwargs={"input": x}))
print(call(linear, [{"weight": params["weight"]}, {"bias": params["bias"]}], (x,), strict=True))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([2.0]))
        self.b = self.a
        self.register_buffer("count", torch.zeros(1))

    def forward(self, t):
        self.count = self.count + 1
        return self.a * t + self.b + self.count


tied, ten, one = Tied(), torch.tensor([10.0]), torch.ones(1)
print(call(tied, {"a": ten}, (one,)), call(tied, {"a": ten}, (one,), tie_weights=False).detach())
attempt(lambda: call(tied, {"a": ten, "b": one}, (one,)), True)
print(call(tied, {"a": ten, "b": one}, (one,), tie_weights=False))
state = {"count": torch.tensor([5.0])}
print(call(tied, state, (one,)).detach(), tied.count, state)
print(isinstance(tied.a, torch.nn.Parameter), tied.a)
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
weights = {k: torch.full_like(p, 0.5) for k, p in net.named_parameters()}
print(func.hessian(lambda t: call(net, weights, (t,)).sum() ** 2)(x))
print(func.grad(lambda p: call(net, p, (x,)).sum())(weights))
for path, block in func.jacrev(lambda p: call(net, p, (x,)))(weights).items():
    print(path, tuple(block.shape), block.sum())

# inference mode outside and inside
with torch.inference_mode():
    frozen = torch.tensor([1.0, 2.0, 3.0])
    print(func.grad(cube)(frozen), func.grad(lambda t: (t * frozen).sum())(x))
    gradient = func.grad(cube)(x)
    print(gradient, gradient.is_inference())
    print(func.jvp(lambda t: t * t, (frozen,), (frozen,)), func.vjp(lambda t: t * t, frozen)[1](x))
    print(func.hessian(cube)(frozen), func.jacfwd(lambda t: t * t)(frozen))
print(func.grad(cube)(frozen), func.jvp(cube, (frozen,), (frozen,)))


def inside(t):
    with torch.inference_mode():
        c = t * t
    return (t - c).sum()


print(func.grad(inside)(x))
