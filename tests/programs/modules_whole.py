# nn.Module: attributes of parameters, containers to the end, hooks with all options, odd states
import copy
import pickle
from collections import OrderedDict

nn = torch.nn

# a parameter takes attributes of the user's own, and copies keep them
p = nn.Parameter(torch.ones(2))
p.note, p.groups = "kept", [1]
p.groups.append(2)
twin = copy.deepcopy(p)
print(vars(twin), vars(p))
print(copy.copy(p).note, pickle.loads(pickle.dumps(p)).note, isinstance(twin, nn.Parameter))
print(hasattr(p.detach(), "note"), hasattr(p * 1, "note"), hasattr(nn.Parameter(p), "note"))
attempt(lambda: p.other)
buffer = nn.Buffer(torch.ones(1))
buffer.note = 3
print(buffer.note)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Sequential(nn.Linear(2, 1))
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x, scale=1):
        return self.second(self.first(x - self.mean)) * scale


net = Net()
print(net.get_submodule("second.0"), net.get_parameter("second.0.bias").shape)
for path in ("second.7", "first.weight", "nope", "first.nope.x"):
    attempt(lambda: net.get_submodule(path), True)
for path in ("first", "mean", "second.0", "second.0.nope"):
    attempt(lambda: net.get_parameter(path), True)
for path in ("first.weight", "nope", "second"):
    attempt(lambda: net.get_buffer(path), True)
attempt(lambda: net.set_submodule("", nn.Identity()))
attempt(lambda: net.set_submodule("second.0", 3))
attempt(lambda: net.set_submodule("nope.x", nn.Identity()), True)
attempt(lambda: net.set_submodule("second.0", nn.Identity()))
attempt(lambda: net.set_submodule("second.more", nn.Identity()))
attempt(lambda: net.set_submodule("other", nn.Identity(), strict=True), True)
print(net)
net.second = nn.Sequential(nn.Linear(2, 1))

# names and duplicates
net.again = net.first
net.register_buffer("twice", net.mean)
net.absent = None
net.register_module("empty", None)
net.register_parameter("nothing", None)
net.register_buffer("void", None)
print([n for n, _ in net.named_parameters()])
print([n for n, _ in net.named_parameters(remove_duplicate=False)])
print(
    [n for n, _ in net.named_buffers()], [n for n, _ in net.named_buffers(remove_duplicate=False)]
)
print(
    [n for n, _ in net.named_modules()], [n for n, _ in net.named_modules(remove_duplicate=False)]
)
print([n for n, _ in net.named_children()], len(list(net.children())), list(net.state_dict()))
print(repr(net), net.empty, net.nothing, net.void)
net.void = torch.ones(1)
print("void" in net.state_dict(), net.void)
net.nothing = nn.Parameter(torch.ones(1))
del net.again, net.empty
attempt(lambda: delattr(net, "again"), True)

# conversions
net.first.weight.grad = torch.ones(2, 2)
net.to(torch.float64)
print(net.first.weight.grad.dtype, {str(v.dtype) for v in net.state_dict().values()})
net.to(torch.ones(1), non_blocking=True)
net.to("cpu", torch.float64).to(device="cpu")
print(net.mean.dtype, net.to(dtype=torch.float32).mean.dtype)
attempt(lambda: net.to(torch.bool), True)
print(net.to_empty(device="cpu") is net, net.cpu() is net)
ids = [id(v) for v in net.parameters()]
net.double().float()
print(ids == [id(v) for v in net.parameters()], net.requires_grad_(False) is net)
print([v.requires_grad for v in net.parameters()])
net.requires_grad_()
for v in net.parameters():
    nn.init.ones_(v)
net.zero_grad()
net(torch.ones(2)).backward(create_graph=True)
net.zero_grad(set_to_none=False)
print(net.first.weight.grad, net.first.weight.grad.requires_grad)

# states
state = net.state_dict(prefix="model.")
print(list(state), list(state._metadata))
given = OrderedDict((k[6:], v.clone() + 1) for k, v in state.items())
extra = {**given, "x": torch.ones(1), "second.0.y": torch.ones(1), "second.3.z": torch.ones(1)}
attempt(lambda: net.load_state_dict(extra), True)
print(net.load_state_dict(extra, strict=False))
del given["second.0.bias"], given["mean"]
attempt(lambda: net.load_state_dict(given), True)
print(net.load_state_dict(given, strict=False))
wrong = {**net.state_dict(), "mean": torch.ones(1), "first.weight": torch.ones(2), "twice": 3}
attempt(lambda: net.load_state_dict(wrong, strict=False), True)
attempt(lambda: net.load_state_dict({**net.state_dict(), "nothing": torch.tensor(1.0)}), True)
long = {k: v.double() for k, v in net.state_dict().items()}
print(net.load_state_dict(long), net.mean.dtype)
print(net.load_state_dict(long, assign=True), net.mean.dtype, type(net.first.weight) is not None)
print(isinstance(net.first.weight, nn.Parameter), net.first.weight.requires_grad)
net.float()
net.first.requires_grad_(False)
net.load_state_dict({k: v.clone() for k, v in net.state_dict().items()}, assign=True)
print(net.first.weight.requires_grad, net.second[0].weight.requires_grad)
kept = net.state_dict(keep_vars=True)
print(kept["first.weight"] is net.first.weight, kept["mean"] is net.mean)
own = OrderedDict()
print(net.state_dict(destination=own) is own, len(own))
log = []
handle = net.second.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
missing = {k: v for k, v in net.state_dict().items() if not k.startswith("second")}
attempt(lambda: net.load_state_dict(missing), True)
handle.remove()
handle = net.register_load_state_dict_post_hook(lambda m, keys: 3)
attempt(lambda: net.load_state_dict(net.state_dict()))
handle.remove()


def rename(module, state, prefix, meta, strict, missing, unexpected, errors):
    log.append((prefix, strict, sorted(meta)))
    state[prefix + "weight"] = state.pop(prefix + "w")


net.first.register_load_state_dict_pre_hook(rename)
renamed = net.state_dict()
renamed["first.w"] = renamed.pop("first.weight")
print(net.load_state_dict(renamed), log, "first.w" in renamed)


class Versioned(nn.Module):
    _version = 3

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def _load_from_state_dict(self, state, prefix, meta, *rest):
        print(prefix, meta)
        super()._load_from_state_dict(state, prefix, meta, *rest)


holder = nn.ModuleDict({"v": Versioned()})
print(holder.load_state_dict(holder.state_dict()))
holder.load_state_dict(dict(holder.state_dict()))

# hooks with all options
log = []
m = nn.Identity()
m.forward = lambda *args, **kwargs: log.append(("forward", args, kwargs)) or 1
m.register_forward_pre_hook(lambda *a: log.append(("plain", a[1:])))
m.register_forward_pre_hook(lambda *a: log.append(("kwargs", a[1:])), with_kwargs=True)
m.register_forward_pre_hook(lambda *a: log.append(("first", a[1:])), prepend=True, with_kwargs=True)
m.register_forward_hook(lambda *a: log.append(("after", a[1:])))
m.register_forward_hook(lambda *a: a[-1] + 1, prepend=True, always_call=True)
print(m(3, key=4), log)


def fails(*args, **kwargs):
    raise ValueError("inside")


m.forward = fails
log.clear()
m.register_forward_hook(lambda *a: log.append(a[1:]), with_kwargs=True, always_call=True)
m._forward_hooks.popitem(last=False)
attempt(lambda: m(1), True)
print(log)
m = nn.Identity()
m.register_forward_pre_hook(fails)
m.register_forward_hook(lambda *a: log.append("called"), always_call=True)
log.clear()
attempt(lambda: m(1), True)
print(log)
copied = copy.deepcopy(m)
print(len(copied._forward_hooks), len(copied._forward_pre_hooks))

# copies
linear = nn.Linear(2, 1)
shallow, deep = copy.copy(linear), copy.deepcopy(linear)
print(shallow.weight is linear.weight, deep.weight is linear.weight)
shallow.weight = nn.Parameter(torch.zeros(1, 2))
print(shallow.weight is linear.weight)
shared = nn.ModuleList([linear, nn.Sequential(linear)])
twin = copy.deepcopy(shared)
print(twin[0] is twin[1][0], twin[0].weight is linear.weight)
loaded = pickle.loads(pickle.dumps(shared))
print(loaded, loaded[0].weight is loaded[1][0].weight, loaded.training)

# containers
s = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(1, 1))
s[-1] = nn.Flatten(0)
print(s[-1], s[0:2], s[::2], s[5:])
s.extend(nn.Sequential(nn.Identity(), nn.Identity())).append(nn.Flatten(2))
del s[-2], s[0:2]
print(s, list(s._modules), s.insert(-1, nn.Linear(3, 3)), s.insert(0, nn.Linear(1, 2)))
attempt(lambda: s.insert(9, nn.Identity()), True)
attempt(lambda: s.insert(0, 3))
attempt(lambda: s[9])
attempt(lambda: s.__setitem__(9, nn.Identity()))
attempt(lambda: s.pop(9))
attempt(lambda: s.append(3))
attempt(lambda: s.extend(3))
attempt(lambda: nn.Sequential(3), True)
attempt(lambda: nn.Sequential(nn.Identity(), None))
print(3 * nn.Sequential(nn.Identity()), nn.Sequential(nn.Identity()) * 2)
s = nn.Sequential(nn.Identity())
s += nn.Sequential(nn.Flatten())
print(s, list(reversed(list(s))))
attempt(lambda: s.__iadd__(3))
L = nn.ModuleList(nn.Linear(1, n) for n in range(1, 4))
L[-1] = nn.Identity()
print(L, L[-2], L[1:], list(L._modules))
del L[0:1]
print(L, nn.Identity() in L, L[1] in L, len(L.append(nn.Identity())))
print(L, L.pop(-1), L.pop(0))
attempt(lambda: L[9])
attempt(lambda: L["a"])
D = nn.ModuleDict(OrderedDict(b=nn.Identity(), a=nn.Flatten()))
D.update({"d": nn.Identity(), "c": nn.Identity()})
print(list(D), D)
D.update(nn.ModuleDict({"z": nn.Identity(), "y": nn.Identity()}))
D.update([["k", nn.Identity()]])
print(list(D), list(D.values())[0], dict(D.items())["z"])
attempt(lambda: D["nope"])
attempt(lambda: D.__setitem__("q", 3))
attempt(lambda: D.__setitem__("q.r", nn.Identity()))
attempt(lambda: D.__setitem__(3, nn.Identity()))
attempt(lambda: D.pop("nope"))
D["none"] = None
D.clear()
print(D, len(D))
P = nn.ParameterList([torch.ones(1), nn.Parameter(torch.ones(2), requires_grad=False)])
P += [torch.zeros(2, 3)]
P.extend(nn.ParameterList([torch.ones(1)]))
print(P, P[-1], len(P[1:3]), [v.requires_grad for v in P.parameters()])
attempt(lambda: P.extend(torch.ones(1)))
attempt(lambda: P.extend(3), True)
attempt(lambda: P.append("text"))
print(P, P[4], nn.ParameterList(p for p in P[:1]), nn.ParameterList([nn.ParameterList([])]))
K = nn.ParameterDict(OrderedDict(b=torch.ones(1), a=torch.ones(2, 3)))
K |= {"c": torch.zeros(1)}
K["plain"] = "text"
print(K, list(K), list(reversed(K)), K.popitem(), list(K.items())[0], len(list(K.values())))
other = K.copy()
other["b"] = torch.zeros(5)
print(K["b"].shape, (K | {"d": torch.ones(1)}).keys(), list(({"e": torch.ones(1)} | K).keys()))
print(list(K.fromkeys(["m", "n"], torch.ones(1))), K.get("b") is K["b"], K.get("nope", 3))
K.update(nn.ParameterDict({"u": torch.ones(1)}))
K.update([("v", torch.ones(1))])
print(list(K), list(K.state_dict()))
del K["v"]
attempt(lambda: K.__delitem__("v"))
attempt(lambda: K.pop("v"))
attempt(lambda: K(1), True)
attempt(lambda: K.update(3))
attempt(lambda: K.update([1]))
attempt(lambda: K.update([(1, 2, 3)]))
attempt(lambda: K["a.b"])
K.clear()
print(K, len(K))


class Mixin:
    def __init__(self, text):
        self.text = text


class Both(nn.Module, Mixin):
    call_super_init = True


print(Both("mixed").text)
attempt(lambda: nn.Module(1))
attempt(lambda: nn.Module(a=1))
m = nn.Linear(1, 1)
attempt(
    lambda: m.load_state_dict({"weight": nn.Parameter(torch.ones(1, 1)), "bias": torch.ones(2)})
)
m.register_buffer("b", torch.ones(2).expand(2))
m.b = torch.ones(1).expand(2)
attempt(lambda: m.load_state_dict({**m.state_dict(), "b": torch.arange(2.0)}, assign=True))
m.load_state_dict({**m.state_dict(), "weight": torch.ones(1, 1, dtype=torch.int64)})
print(m.weight, m.b)
# kinds of buffers
m.register_buffer("b", torch.ones(3), persistent=False)
print(list(m.state_dict()), m._non_persistent_buffers_set)
m.b = nn.Buffer(torch.ones(1))
print(list(m.state_dict()))
