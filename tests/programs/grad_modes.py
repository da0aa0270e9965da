# no_grad, enable_grad, set_grad_enabled, inference_mode
import threading

x = torch.ones(2, requires_grad=True)
with torch.no_grad():
    print(torch.is_grad_enabled(), (x * 2).requires_grad)
    with torch.enable_grad():
        print((x * 2).requires_grad)
with torch.set_grad_enabled(False):
    print(torch.is_grad_enabled())
torch.set_grad_enabled(False)
print((x * 2).requires_grad)
torch.set_grad_enabled(True)


@torch.no_grad()
def plain(t):
    return (t * 2).requires_grad


@torch.no_grad
def bare(t):
    return (t * 2).requires_grad


@torch.no_grad()
def generator(t):
    for _ in range(2):
        yield torch.is_grad_enabled()


print(plain(x), bare(x))
for inside in generator(x):
    print(inside, torch.is_grad_enabled())


@torch.inference_mode()
def inferred(t):
    y = t * 2
    return y.requires_grad, y.is_inference()


print(inferred(x))
seen = []
with torch.no_grad():
    thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
    thread.start()
    thread.join()
print(seen)
with torch.inference_mode():
    i = torch.ones(2)
    j = x * 2
    v = x[0]
    print(
        torch.is_inference_mode_enabled(),
        i.is_inference(),
        j.is_inference(),
        v.is_inference(),
        x.is_inference(),
    )
    i.add_(1)
    j.requires_grad_()
print(torch.is_inference_mode_enabled(), torch.is_inference(i))
attempt(lambda: i._version)
attempt(lambda: i.add_(1))
attempt(lambda: i * x)
print((i + x).requires_grad, (i * 2).is_inference(), i.clone().is_inference())
attempt(lambda: i.requires_grad_())
attempt(lambda: torch.ones(2).requires_grad_() * i)
with torch.inference_mode(False):
    print(torch.ones(2).is_inference())
normal = torch.ones(2)
with torch.inference_mode():
    normal.add_(1)
    view = normal[:1]
    print(view.is_inference())
print(normal._version)
with torch.no_grad():
    y = x * 2
    y.requires_grad_()
print(y.is_leaf)
