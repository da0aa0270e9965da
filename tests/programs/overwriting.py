# overwriting, random numbers in place, out=, and operands that are not tensors
import warnings

x = torch.arange(1.0, 5.0, requires_grad=True)


def zeros_reach(change):
    y = x * 2
    change(y)
    x.grad = None
    y.sum().backward()
    print(y.requires_grad, x.grad.tolist())


zeros_reach(lambda y: y.zero_())
zeros_reach(lambda y: y.fill_(3))
zeros_reach(lambda y: y.fill_(torch.tensor(3.0)))
zeros_reach(lambda y: y.copy_(torch.ones(4)))
zeros_reach(lambda y: y.uniform_())
zeros_reach(lambda y: y.normal_(0, 0.1))
zeros_reach(lambda y: y.random_(5))
zeros_reach(lambda y: y.bernoulli_(0.5))
zeros_reach(lambda y: y.exponential_(2.0))
zeros_reach(lambda y: y.__setitem__(slice(None), 0))
zeros_reach(lambda y: y.__setitem__(slice(1, 3), 0))
zeros_reach(lambda y: y.__setitem__([0, 2], 0.0))
zeros_reach(lambda y: y[1:].zero_())

value = torch.tensor(3.0, requires_grad=True)
y = x * 2
y.fill_(value)
y.sum().backward()
print(value.grad)

# hooks and retained gradients
y = x * 2
y.retain_grad()
y.register_hook(lambda g: print("before", g))
y.mul_(3)
y.register_hook(lambda g: print("after", g))
y.sum().backward()
print(y.grad)
y = x * 2
view = y[:2]
view.register_hook(lambda g: print("never"))
view.mul_(3)
y.sum().backward()

# several views, and views made while nothing is recorded
y = x * 1
first, second = y.split(2)
y.mul_(2)
attempt(lambda: first * 2)
attempt(lambda: first.is_leaf)
print(first.requires_grad, first.detach())
with torch.no_grad():
    view = x[:2]
print(view.requires_grad, view.is_leaf, view.grad_fn)
attempt(lambda: view.mul_(2))
(view * 2).sum().backward()
print(view.grad)
y = x * 1
with torch.inference_mode():
    view = y[:2]
attempt(lambda: view.mul_(2))
base = torch.ones(4)
view = base[:2]
base.requires_grad_()
print(view.requires_grad)
attempt(lambda: view.mul_(2))

# random numbers
attempt(lambda: torch.ones(2).uniform_(1, 0))
attempt(lambda: torch.ones(2).normal_(0, -1))
attempt(lambda: torch.ones(2).bernoulli_(2.0))
attempt(lambda: torch.ones(2).exponential_(0.0))
attempt(lambda: torch.ones(2).random_(5, 2))
attempt(lambda: torch.ones(2, dtype=torch.int8).random_(300))
print(torch.ones(3).uniform_(2, 2), torch.ones(3).bernoulli_(1.0), torch.ones(3).random_(1))

# out=
a = torch.ones(4)
out = torch.empty(0)
print(torch.add(a, a, out=out) is out, out, out._version)
out = torch.zeros(8)
torch.mul(a, 3, out=out[::2])
print(out)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    out = torch.empty(3)
    torch.add(a, 1, out=out)
print(out, [w.category.__name__ for w in caught])
values, indices = torch.empty(()), torch.empty((), dtype=torch.int64)
torch.max(torch.tensor([1.0, 5.0, 3.0]), 0, out=(values, indices))
print(values, indices)
print(torch.sum(torch.ones(2, 3), 0, out=torch.empty(3)))
print(torch.matmul(torch.ones(2, 3), torch.ones(3, 2), out=torch.empty(2, 2)))
attempt(lambda: torch.add(a, a, out=torch.empty(4, requires_grad=True)))
attempt(lambda: torch.add(a, a, out=[1]))
attempt(lambda: a.add(a, out=torch.empty(4)))
print(torch.ones(3).resize_(2, 1).shape)
attempt(lambda: x.resize_(2))


# operands that are not tensors
class Other:
    def __rmul__(self, tensor):
        return "rmul"

    def __gt__(self, tensor):
        return "gt"


print(a * Other(), a < Other(), a == None, a != None)  # noqa: E711
attempt(lambda: a * None)
attempt(lambda: a - Other())
b = a
b *= Other()
print(b)


# decorated classes
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")

    @torch.no_grad()
    class Model:
        def __init__(self):
            self.inside = torch.is_grad_enabled()

        def method(self):
            return torch.is_grad_enabled()


print([w.category.__name__ for w in caught], Model().inside, Model().method())
