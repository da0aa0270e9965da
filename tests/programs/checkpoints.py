# utils.checkpoint
import warnings

warnings.simplefilter("ignore")
from_module = torch.utils.checkpoint
checkpoint, checkpoint_sequential = from_module.checkpoint, from_module.checkpoint_sequential
calls = []


def layer(t, scale=1.0):
    calls.append(1)
    return (t * t * scale).exp().sin()


for reentrant in (True, False):
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    calls.clear()
    y = checkpoint(layer, x, use_reentrant=reentrant)
    print(y.requires_grad, len(calls))
    y.sum().backward()
    print(len(calls), torch.allclose(x.grad, torch.autograd.grad(layer(x).sum(), x)[0]))
x = torch.tensor([0.5, 1.0], requires_grad=True)
y = checkpoint(layer, x, use_reentrant=False, scale=2.0)
print(torch.autograd.grad(y.sum(), x)[0].shape)
y = checkpoint(layer, x, use_reentrant=True)
attempt(lambda: torch.autograd.grad(y.sum(), x))
attempt(lambda: checkpoint(layer, x, use_reentrant=True, scale=2.0))
nested = checkpoint(
    lambda t: checkpoint(layer, checkpoint(layer, t, use_reentrant=False), use_reentrant=False),
    x,
    use_reentrant=False,
)
x.grad = None
nested.sum().backward()
want = torch.autograd.grad(layer(layer(x)).sum(), x)[0]
print(torch.allclose(x.grad, want))
for reentrant in (True, False):
    y = checkpoint_sequential([layer] * 4, 2, x, use_reentrant=reentrant)
    x.grad = None
    y.sum().backward()
    print(torch.allclose(x.grad, torch.autograd.grad(layer(layer(layer(layer(x)))).sum(), x)[0]))
state = {"n": 0}


def unsteady(t):
    state["n"] += 1
    return t.exp() * t if state["n"] == 1 else t.sum().exp() * t


y = checkpoint(unsteady, x, use_reentrant=False)
attempt(lambda: y.sum().backward())
y = checkpoint(lambda t: t * torch.rand(2), x, use_reentrant=False)
x.grad = None
y.sum().backward()
print(torch.allclose(x.grad, (y / x).detach()))
