# autograd.Function
Function = torch.autograd.Function


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, flag=True):
        ctx.factor = factor
        ctx.save_for_backward(x)
        print(ctx.needs_input_grad)
        return x * factor

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * ctx.factor * x / x, None, None


x = torch.full((2,), 2.0, requires_grad=True)
y = Scale.apply(x, 3.0)
print(y, y.grad_fn.name())
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g, g.requires_grad)


class New(Function):
    @staticmethod
    def forward(x, k):
        return x * k, x + k

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, k = inputs
        ctx.k = k
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, first, second):
        print(first, second)
        return first * ctx.k if first is not None else None, None

    @staticmethod
    def jvp(ctx, x_t, k_t):
        return x_t * ctx.k, x_t


a, b = New.apply(x, 4.0)
a.sum().backward()
print(x.grad)
with torch.autograd.forward_ad.dual_level():
    dual = torch.autograd.forward_ad.make_dual(torch.ones(2), torch.full((2,), 7.0))
    print(torch.autograd.forward_ad.unpack_dual(New.apply(dual, 4.0)[0]).tangent)


def function(name, forward, backward):
    return type(
        name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


Wrong = function("Wrong", lambda ctx, x: x * 2, lambda ctx, g: (g, g))
attempt(lambda: Wrong.apply(x).sum().backward())
Shape = function("Shape", lambda ctx, x: x * 2, lambda ctx, g: torch.ones(3))
attempt(lambda: Shape.apply(x).sum().backward())
Nothing = function("Nothing", lambda ctx, x: x * 2, lambda ctx, g: None)
x.grad = None
Nothing.apply(x).sum().backward()
print(x.grad)
Same = function("Same", lambda ctx, x: x, lambda ctx, g: g * 5)
s = Same.apply(x)
print(s is x, s.grad_fn.name(), s.is_leaf)
s.sum().backward()
print(x.grad)
View = function("View", lambda ctx, x: x[:1], lambda ctx, g: torch.cat([g, g]))
v = View.apply(x)
print(v.grad_fn.name(), v.shape)


def dirty(ctx, x):
    x.mul_(2)
    ctx.mark_dirty(x)
    return x


Dirty = function("Dirty", dirty, lambda ctx, g: g * 2)
t = x * 1
d = Dirty.apply(t)
print(d is t, t.grad_fn.name(), t._version)
x.grad = None
t.sum().backward()
print(x.grad)
attempt(lambda: Dirty.apply(x))


def constant(ctx, x):
    i = x * 2
    ctx.mark_non_differentiable(i)
    return x * 1, i


Constant = function("Constant", constant, lambda ctx, g, h: g + h)
p, q = Constant.apply(x)
print(p.requires_grad, q.requires_grad)
x.grad = None
p.sum().backward()
print(x.grad)


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2


(g,) = torch.autograd.grad(Once.apply(x).sum() * x.sum(), x, create_graph=True)
attempt(lambda: g.sum().backward())


class Fails(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        raise ValueError("on purpose")


attempt(lambda: Fails.apply(x).sum().backward())


class Inner(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            t = x.detach().requires_grad_()
            (t * t).sum().backward()
        return g * t.grad


x.grad = None
Inner.apply(x).sum().backward()
print(x.grad)
attempt(lambda: Scale.apply(x, factor=2.0))


class Unsaved(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3)
        return x * 2


attempt(lambda: Unsaved.apply(x))
attempt(
    lambda: (
        function("NoBackward", lambda ctx, x: x * 1, Function.backward).apply(x).sum().backward()
    )
)
y = Scale.apply(x, 2.0)
y.sum().backward()
attempt(lambda: y.grad_fn.saved_tensors)
