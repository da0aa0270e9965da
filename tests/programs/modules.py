# nn.Module: attributes, names, state, conversions
import copy
import pickle
from collections import OrderedDict

nn = torch.nn
t = torch.ones(3)
p = nn.Parameter(t)
t.add_(1)
print(p, p._version, p.data_ptr() == t.data_ptr())
print(nn.Parameter(torch.ones(2), requires_grad=False), nn.Parameter())
print(nn.Parameter(torch.tensor([1]), requires_grad=False))
attempt(lambda: nn.Parameter([1.0]))
attempt(lambda: nn.Parameter(torch.tensor([1])))
print([isinstance(v, nn.Parameter) for v in (p, t, p.detach(), p.data, p * 1, p.clone(), 3)])
print(isinstance(p, torch.Tensor), isinstance(p, nn.Buffer), isinstance(nn.Buffer(t), nn.Buffer))
print(nn.Buffer(torch.ones(2)), nn.Parameter(p) is p, nn.Parameter(p * 2).is_leaf)
print(copy.deepcopy(p), copy.copy(p), pickle.loads(pickle.dumps(p)))
print(isinstance(copy.deepcopy(p), nn.Parameter), isinstance(copy.copy(p), nn.Parameter))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 3)
        self.w = nn.Parameter(torch.ones(2))
        self.register_buffer("b", torch.zeros(1))
        self.register_buffer("nb", torch.zeros(1), persistent=False)
        self.own = nn.Buffer(torch.ones(1), persistent=False)
        self.register_parameter("none", None)
        self.n = None

    def forward(self, x):
        return self.l(x * self.w)


m = Own()
print(m)
print(list(m.state_dict()), m.own, m.none, m.training)
print([n for n, _ in m.named_parameters()], [n for n, _ in m.named_parameters(recurse=False)])
print([n for n, _ in m.named_parameters(prefix="p")], [n for n, _ in m.named_buffers()])
print([n for n, _ in m.named_modules()], [n for n, _ in m.named_children()])
print(len(list(m.parameters())), len(list(m.buffers())), len(list(m.modules())))
print([n for n in dir(m) if n in ("w", "l", "b", "nb", "forward")])


class WithoutInit(nn.Module):
    def __init__(self, what):
        what(self)

    def forward(self, x):
        return x


attempt(lambda: WithoutInit(lambda s: setattr(s, "l", nn.Linear(1, 1))), True)
attempt(lambda: WithoutInit(lambda s: setattr(s, "l", nn.Parameter(t))), True)
attempt(lambda: WithoutInit(lambda s: s.register_buffer("a", t)), True)
attempt(lambda: WithoutInit(lambda s: s.register_parameter("a", nn.Parameter(t))), True)
attempt(lambda: WithoutInit(lambda s: None)(1))
attempt(lambda: m.foo, True)
attempt(lambda: setattr(m, "w", 3))
attempt(lambda: setattr(m, "w", torch.ones(2)))
attempt(lambda: setattr(m, "b", 3))
attempt(lambda: setattr(m, "l", 3))
attempt(lambda: setattr(m, "b", torch.ones(3)))
attempt(lambda: setattr(m, "w", None))
print(m._parameters["w"], m.w, m.b)
m.w = nn.Parameter(torch.ones(2))
for register in (m.register_parameter, m.register_buffer, m.register_module, m.add_module):
    for name in ("a.b", "", "forward"):
        attempt(lambda: register(name, None), True)
    attempt(lambda: register(3, None))
    attempt(lambda: register("q", 3))
attempt(lambda: m.register_parameter("q", torch.ones(1)))
attempt(lambda: m.register_parameter("q", p * 2))
print(m.get_submodule("l"), m.get_submodule("") is m)
for path in ("x.y", "w"):
    attempt(lambda: m.get_submodule(path), True)
print(m.get_parameter("l.weight").shape, m.get_buffer("b").shape)
for path in ("l.foo", "b", "q.w"):
    attempt(lambda: m.get_parameter(path), True)
attempt(lambda: m.get_buffer("w"), True)
attempt(lambda: nn.Module()(1), True)
attempt(lambda: m.train(3), True)
print(m.train(False) is m, m.l.training, m.train().l.training, m.eval().training)
names = []
print(m.apply(lambda module: names.append(type(module).__name__)) is m, names)

# conversions
attempt(lambda: m.to(torch.int64), True)
print(m.to(torch.float64).l.weight.dtype, m.b.dtype, m.to(torch.ones(1)).w.dtype)
print(
    m.double() is m, m.w.dtype, m.float().w.dtype, isinstance(m.w, nn.Parameter), m.to("cpu") is m
)
print(m.type(torch.float64).w.dtype, m.requires_grad_(False).w.requires_grad)
m.float().requires_grad_()
m.w.grad = torch.ones(2)
print(m.double().w.grad)
m.zero_grad(set_to_none=False)
print(m.float().w.grad)
m.zero_grad()
print(m.w.grad)

# state
sd = m.state_dict()
print(m.load_state_dict(sd), sd._metadata, sd["w"].requires_grad)
attempt(lambda: m.load_state_dict({}), True)
print(m.load_state_dict({}, strict=False))
attempt(lambda: m.load_state_dict({**sd, "zz": 1, "l.q": t, "yy.a": t}), True)
attempt(lambda: m.load_state_dict({**sd, "w": torch.ones(3)}), True)
attempt(lambda: m.load_state_dict({**sd, "w": torch.ones(3)}, strict=False))
attempt(lambda: m.load_state_dict({**sd, "w": 3}))
attempt(lambda: m.load_state_dict(3), True)
m.load_state_dict({**sd, "w": torch.ones(2) * 5})
print(m.w)
own = m.w
m.load_state_dict({**sd, "w": torch.ones(2) * 7}, assign=True)
print(m.w, m.w is own)
print({k: v.requires_grad for k, v in m.state_dict(keep_vars=True).items()})
print(list(m.state_dict(prefix="p.")))


class Extra(nn.Module):
    def get_extra_state(self):
        return {"n": 3}

    def set_extra_state(self, state):
        self.got = state


extra = Extra()
print(extra.state_dict())
extra.load_state_dict(extra.state_dict())
print(extra.got)
attempt(lambda: extra.load_state_dict({}), True)
log = []
handles = [
    m.register_state_dict_pre_hook(lambda module, prefix, keep: log.append(("pre", prefix, keep))),
    m.register_state_dict_post_hook(lambda module, state, prefix, meta: log.append(list(state))),
    m.register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: log.append(prefix)),
    m.register_load_state_dict_post_hook(lambda module, keys: log.append(keys)),
]
m.load_state_dict(m.state_dict())
for handle in handles:
    handle.remove()
m.load_state_dict(m.state_dict())
print(log)

# deleting, copying
del m.w, m.l, m.nb
attempt(lambda: m.w, True)
attempt(lambda: delattr(m, "foo"))
print(m, list(m.state_dict()))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.t = self.l

    def extra_repr(self):
        return "first=1\nsecond=2"


shared = Shared()
c = copy.deepcopy(shared)
print(shared, c.l is c.t, c.l is shared.l, c.l.weight is c.t.weight, len(list(c.parameters())))
print([n for n, _ in c.named_parameters(remove_duplicate=False)], [n for n, _ in c.named_modules()])
restored = pickle.loads(pickle.dumps(nn.Linear(2, 1)))
print(restored, isinstance(restored.weight, nn.Parameter))
print(nn.Linear(2, 1, dtype=torch.float64).weight.dtype, nn.Linear(2, 3, bias=False).bias)

# containers
s = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Identity(), nn.Flatten()))
print(s, s[0], s[-1], s[:1], len(s))
attempt(lambda: s[5], True)
attempt(lambda: s["a"])
L = nn.ModuleList([nn.Identity()])
L.append(nn.Linear(1, 1))
L.extend([nn.Flatten()])
L.insert(0, nn.Flatten(0))
print(L, len(L), L[1:])
del L[0]
print(L, L.pop(0), len(L))
L += [nn.Identity()]
print(L + nn.ModuleList([nn.Identity()]))
attempt(lambda: L(1), True)
attempt(lambda: L.extend(3), True)
attempt(lambda: L.append(3), True)
S = nn.Sequential(nn.Identity(), nn.Flatten(0))
print(S + S, len(S * 2))
S *= 2
S.append(nn.Identity())
S.insert(1, nn.Linear(1, 1))
del S[0]
print(S, S.pop(0), [n for n, _ in S.named_children()])
attempt(lambda: S * 0)
attempt(lambda: S * "a")
attempt(lambda: S + 3)
S = nn.Sequential(OrderedDict([("a", nn.Identity()), ("b", nn.Flatten())]))
print(S, S[0], S.a)
S[0] = nn.Linear(1, 1)
print(S)
D = nn.ModuleDict({"a": nn.Identity()})
D.update([("b", nn.Flatten())])
D["c"] = nn.Identity()
print(list(D.keys()), "a" in D, len(D), D.pop("a"), D)
attempt(lambda: D.update(3))
attempt(lambda: D.update([(1, 2, 3)]))
attempt(lambda: nn.ModuleDict({"keys": nn.Identity()}))
print(nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Identity()]))
print(nn.ModuleList([nn.Sequential(nn.Identity()), nn.Sequential(nn.Identity())]))
PL = nn.ParameterList([torch.ones(1)])
print(PL)
PL.append(torch.zeros(2)).append(3)
print(PL, PL[1], len(PL), list(PL.state_dict()), PL[0:1])
PL[0] = torch.zeros(3)
print(PL[0])
attempt(lambda: PL[7], True)
attempt(lambda: PL(1), True)
PD = nn.ParameterDict({"a": torch.ones(1)})
PD["b"] = torch.zeros(2)
print(PD, list(PD.keys()), "a" in PD, list(PD.state_dict()))
attempt(lambda: PD[3])
attempt(lambda: PD["nope"])
print(PD.pop("a"), len(PD), PD.get("z"), PD.setdefault("y", torch.ones(1)))
print(nn.ModuleList(), nn.Sequential(), nn.ParameterList(), nn.ModuleDict(), nn.Module())
print(nn.Flatten(0), nn.Unflatten(1, (2, 3)), nn.Identity(3, a=4), nn.Bilinear(2, 3, 4))
print(nn.Unflatten(1, (2, -1))(torch.ones(2, 6)).shape, nn.Flatten()(torch.ones(2, 3, 4)).shape)
b = nn.Bilinear(2, 3, 1)
nn.init.ones_(b.weight), nn.init.zeros_(b.bias)
print(b(torch.ones(5, 2), torch.ones(5, 3)).detach())
