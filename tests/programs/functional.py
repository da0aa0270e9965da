# autograd.functional
F = torch.autograd.functional
x = torch.tensor([1.0, 2.0])
y = torch.tensor([3.0, 4.0])
print(F.jacobian(lambda t: t * t, x))
print(F.jacobian(lambda a, b: (a * b, a.sum()), (x, y)))
print(F.jacobian(lambda t: t * t, x, vectorize=True, strategy="forward-mode"))
print(F.jacobian(lambda t: t.sum(), x, create_graph=True).requires_grad)
print(F.hessian(lambda t: (t**3).sum(), x))
print(F.hessian(lambda a, b: (a * b).sum(), (x, y)))
print(
    F.hessian(
        lambda t: (t**3).sum(), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ).detach()
)
print(F.vjp(lambda t: t * t, x, torch.ones(2)))
print(F.jvp(lambda t: t * t, x, torch.ones(2)))
print(F.vhp(lambda t: (t**3).sum(), x, torch.ones(2)))
print(F.hvp(lambda t: (t**3).sum(), x, torch.ones(2)))
print(F.jacobian(lambda t: torch.ones(2), x))
attempt(lambda: F.jacobian(lambda t: torch.ones(2), x, strict=True))
attempt(lambda: F.hessian(lambda t: t * t, x))
attempt(lambda: F.vjp(lambda t: t * t, x))
attempt(lambda: F.jvp(lambda t: t * t, x))
attempt(lambda: F.vjp(lambda t: t * t, x, torch.ones(3)))
attempt(lambda: F.jacobian(lambda t: 3, x))
attempt(lambda: F.jacobian(lambda t: t, 3))
attempt(lambda: F.jacobian(lambda t: t * t, x, strategy="forward-mode"))
attempt(lambda: F.jacobian(lambda t: t * t, x, strategy="sideways"))


# what strict refuses, and why
def square(t):
    return t * t


def cube(t):
    return (t**3).sum()


def linear(t):
    return t * 2


one = torch.ones(2)
w = torch.tensor([1.0, 2.0], requires_grad=True)
attempt(lambda: F.jacobian(lambda t: one, x, strict=True), True)
attempt(lambda: F.jacobian(lambda t, u: t * t, (x, y), strict=True), True)
attempt(lambda: F.jacobian(linear, w, strict=True, create_graph=True), True)
attempt(lambda: F.jacobian(square, x, strict=True, vectorize=True), True)
attempt(lambda: F.jacobian(square, x, strict=True, vectorize=True, strategy="forward-mode"), True)
attempt(lambda: F.jacobian(square, x, create_graph=True, strategy="forward-mode"), True)
attempt(lambda: F.jacobian(square, [x]), True)
attempt(lambda: F.jacobian(lambda t: [t], x), True)
attempt(lambda: F.jacobian(lambda t: (t * t, 3), x), True)
attempt(lambda: F.jacobian(square, torch.tensor([1, 2])))
attempt(lambda: F.hessian(square, x), True)
attempt(lambda: F.hessian(lambda t: (cube(t), cube(t)), x), True)
attempt(lambda: F.hessian(lambda t: t.sum(), x, strict=True), True)
attempt(lambda: F.hessian(lambda t: one.sum(), x, strict=True), True)
attempt(lambda: F.hessian(lambda a, b: (a * b).sum(), (x, y), strict=True), True)
attempt(lambda: F.hessian(cube, x, outer_jacobian_strategy="forward-mode"))
attempt(lambda: F.hessian(cube, x, outer_jacobian_strategy="sideways"))
attempt(lambda: F.vjp(square, x), True)
attempt(lambda: F.vjp(square, x, (one, one)), True)
attempt(lambda: F.vjp(lambda t: (t, t), x, (one, torch.ones(3))), True)
attempt(lambda: F.vjp(square, x, 3.0), True)
attempt(lambda: F.vjp(lambda a, b: a * 1, (x, y), one, strict=True), True)
attempt(lambda: F.vjp(linear, w, one, create_graph=True, strict=True), True)
attempt(lambda: F.jvp(square, x), True)
attempt(lambda: F.jvp(lambda a, b: (a * b, one), (x, y), (one, one), strict=True), True)
attempt(lambda: F.jvp(linear, w, one, create_graph=True, strict=True), True)
for product in (F.vhp, F.hvp):
    attempt(lambda: product(cube, x), True)
    attempt(lambda: product(square, x, one), True)
    attempt(lambda: product(lambda t: (cube(t), cube(t)), x, one), True)
    attempt(lambda: product(lambda t: t.sum(), x, one, strict=True), True)
    attempt(lambda: product(lambda a, b: (a**2).sum(), (x, y), (one, one), strict=True), True)
    attempt(lambda: product(lambda t: (t * t).sum(), w, one, create_graph=True, strict=True), True)
    print(product(lambda a, b: (a * a * b).sum(), (x, y), (one, one)))
    print(product(lambda t: t**3, torch.tensor(2.0)))
    print(product(lambda t: one.sum(), x, one))
    print([t.requires_grad for t in product(cube, w, one, create_graph=True)])
    print([t.requires_grad for t in product(cube, w, one)])

# structures
print(F.jacobian(square, (x,)))
print(F.jacobian(lambda t: (t * t,), x))
print(F.jacobian(square, torch.tensor(2.0)))
print(F.jacobian(lambda a, b: (a * b, a.sum()), (x, y), vectorize=True))
print(F.hessian(lambda t: cube(t).reshape(1), x))
print(F.vjp(lambda a, b: (a * b, b), (x, y), (one, one)))
print(F.jvp(lambda a, b: (a * b, b), (x, y), (one, one)))
print(F.jvp(lambda a, b: (a * b, one), (x, y), (one, one)))
print(F.jacobian(lambda t: t.long(), x))

# graphs
print(F.jacobian(square, w).requires_grad, F.jacobian(square, x, create_graph=True).requires_grad)
j = F.jacobian(square, w, create_graph=True)
j.sum().backward()
print(w.grad)
with torch.no_grad():
    print(F.jacobian(square, w, create_graph=True).requires_grad, F.vjp(square, w, one))
w.grad = None
F.hessian(cube, w, create_graph=True).sum().backward()
print(w.grad)
print(F.vjp(linear, x, w, create_graph=True)[1].requires_grad)
print(x.requires_grad)
