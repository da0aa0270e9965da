# utils.checkpoint
import warnings

warnings.simplefilter("ignore")
from_module = torch.utils.checkpoint
checkpoint, checkpoint_sequential = from_module.checkpoint, from_module.checkpoint_sequential
calls = []


def layer(t, scale=1.0):
    calls.append(1)
    return (t * t * scale).exp().sin()


def same(a, b):
    return bool((a == b).all())


for reentrant in (True, False):
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    calls.clear()
    y = checkpoint(layer, x, use_reentrant=reentrant)
    print(y.requires_grad, len(calls))
    y.sum().backward()
    print(len(calls), same(x.grad, torch.autograd.grad(layer(x).sum(), x)[0]))
x = torch.tensor([0.5, 1.0], requires_grad=True)
y = checkpoint(layer, x, use_reentrant=False, scale=2.0)
print(torch.autograd.grad(y.sum(), x)[0].shape)
y = checkpoint(layer, x, use_reentrant=True)
attempt(lambda: torch.autograd.grad(y.sum(), x), message=True)
attempt(lambda: y.sum().backward(inputs=[x]), message=True)
attempt(lambda: checkpoint(layer, x, use_reentrant=True, scale=2.0), message=True)
nested = checkpoint(
    lambda t: checkpoint(layer, checkpoint(layer, t, use_reentrant=False), use_reentrant=False),
    x,
    use_reentrant=False,
)
x.grad = None
nested.sum().backward()
print(same(x.grad, torch.autograd.grad(layer(layer(x)).sum(), x)[0]))
for reentrant in (True, False):
    y = checkpoint_sequential([layer] * 4, 2, x, use_reentrant=reentrant)
    x.grad = None
    y.sum().backward()
    print(same(x.grad, torch.autograd.grad(layer(layer(layer(layer(x)))).sum(), x)[0]))

# what is saved the second time
state = {"n": 0}


def other_shapes(t):
    state["n"] += 1
    return t.exp() * t if state["n"] == 1 else t.sum().exp() * t


def fewer(t):
    state["n"] += 1
    return t.exp().sin() if state["n"] == 1 else t.exp()


def more(t):
    state["n"] += 1
    return t.exp() if state["n"] == 1 else t.exp().sin()


def run(function, **options):
    state["n"] = 0
    checkpoint(function, x, use_reentrant=False, **options).sum().backward()


for function in (other_shapes, fewer, more):
    attempt(lambda: run(function))
    attempt(lambda: run(function, determinism_check="none"))
    attempt(lambda: run(function, early_stop=False))
attempt(lambda: run(more, determinism_check="all"), message=True)

# random numbers
for preserve in (True, False):
    torch.manual_seed(3)
    x.grad = None
    y = checkpoint(lambda t: t * torch.rand(2), x, use_reentrant=False, preserve_rng_state=preserve)
    after = torch.get_rng_state()
    y.sum().backward()
    print(same(x.grad * x, y), same(after, torch.get_rng_state()))

# arguments and options
attempt(lambda: checkpoint(layer, x, use_reentrant=True, debug=True), message=True)
attempt(lambda: checkpoint(layer, x, use_reentrant=True, context_fn=list), message=True)
attempt(
    lambda: checkpoint(layer, x, use_reentrant=False, debug=True, context_fn=list), message=True
)
attempt(lambda: checkpoint_sequential([layer], 1, x, use_reentrant=False, bogus=1), message=True)
attempt(lambda: checkpoint_sequential([layer], 2, x, use_reentrant=False))
attempt(lambda: checkpoint(layer, x, use_reentrant=False, bogus=1))
attempt(lambda: from_module.detach_variable([x]), message=True)
print(
    [t is x or t for t in from_module.detach_variable((x, 3))][1],
    [type(c).__name__ for c in from_module.noop_context_fn()],
)

# outputs of all kinds
y, number, text, detached, nothing = checkpoint(
    lambda t: (t.exp(), 3, "a", t.detach(), None), x, use_reentrant=True
)
print(y.requires_grad, number, text, detached.requires_grad, nothing)
y.sum().backward()
print(checkpoint(lambda t: [t.exp()], x, use_reentrant=True)[0].requires_grad)
print(checkpoint(lambda t: {"a": t.exp()}, x, use_reentrant=False)["a"].requires_grad)
attempt(
    lambda: checkpoint(lambda t: t.detach(), x, use_reentrant=True).sum().backward(), message=True
)
attempt(lambda: checkpoint(lambda t: t.detach(), x, use_reentrant=False).sum().backward())
print(checkpoint(lambda t, u: t * u[0], x, [x], use_reentrant=True).requires_grad)
with torch.no_grad():
    print([checkpoint(layer, x, use_reentrant=r).requires_grad for r in (True, False)])

# more than one backward pass
for reentrant in (True, False):
    for retain in (True, False):
        y = checkpoint(layer, x, use_reentrant=reentrant).sum()
        calls.clear()
        y.backward(retain_graph=retain)
        attempt(y.backward)
        print(len(calls))


def twice(reentrant):
    y = checkpoint(layer, x, use_reentrant=reentrant).sum()
    x.grad = None
    y.backward(create_graph=True)
    first, x.grad = x.grad, None
    first.sum().backward()


attempt(lambda: twice(True))
attempt(lambda: twice(False))


def with_gradient(t):
    (g,) = torch.autograd.grad((t**3).sum(), t, create_graph=True)
    return g * t


x.grad = None
checkpoint(with_gradient, x, use_reentrant=False).sum().backward()
print(same(x.grad, 9 * x * x))
y = checkpoint(layer, x, use_reentrant=False)
print(y.grad_fn._saved_self.shape, same(y.grad_fn._saved_self, y.grad_fn._saved_self))

# in place
inside = x * 1
y = checkpoint(lambda t: t.mul_(2).exp(), inside, use_reentrant=False)
attempt(lambda: y.sum().backward())
inside = x * 1
y = checkpoint(lambda t: t.exp().sin(), inside, use_reentrant=True)
inside.add_(1)
attempt(lambda: y.sum().backward())


class TakesTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return a * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0] / ctx.saved_tensors[0]


attempt(lambda: checkpoint(TakesTwice.apply, x, use_reentrant=False).sum().backward())

# when the repetition ends
steps = []


def three(t):
    steps.append("exp")
    t = t.exp()
    steps.append("sin")
    t = t.sin()
    steps.append("mul")
    return t * 1


for early in (True, False):
    for override in (None, True, False):
        steps.clear()
        if override is None:
            y = checkpoint(three, x, use_reentrant=False, early_stop=early)
        else:
            with from_module.set_checkpoint_early_stop(override):
                y = checkpoint(three, x, use_reentrant=False, early_stop=early)
        y.sum().backward()
        print(early, override, steps[3:])

# hooks, errors, and hooks that are forbidden
seen = []


def with_hook(t):
    t = t.exp()
    t.register_hook(lambda g: seen.append(g.shape))
    return t.sin()


checkpoint(with_hook, x, use_reentrant=False).sum().backward()
print(len(seen))


def fails_second(t):
    state["n"] += 1
    if state["n"] == 2:
        raise KeyError("second")
    return t.exp()


for reentrant in (True, False):
    state["n"] = 0
    y = checkpoint(fails_second, x, use_reentrant=reentrant).sum()
    attempt(lambda: y.backward(retain_graph=True), message=True)
    attempt(y.backward)
    print(torch.is_grad_enabled())
with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
    attempt(lambda: checkpoint(layer, x, use_reentrant=False), message=True)
