# autograd.Function: what forward and backward may return, and what the node is
import collections

Function = torch.autograd.Function


def function(name, forward, backward, **methods):
    methods = {"forward": forward, "backward": backward, **methods}
    return type(name, (Function,), {key: staticmethod(f) for key, f in methods.items()})


def show(label, f):
    """Print what `f` returns, or the error with the beginning of its text."""
    try:
        print(label, f())
    except Exception as error:
        print(label, type(error).__name__, str(error).splitlines()[0][:75])


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def passing(ctx, *grads):
    return grads if len(grads) > 1 else grads[0]


def run(ret_fw, ret_bw, n=1, args=()):
    x = leaf()
    F = function("F", ret_fw, ret_bw)
    y = F.apply(x, *args)
    ys = y if isinstance(y, tuple) else (y,)
    sum(t.sum() for t in ys if isinstance(t, torch.Tensor) and t.requires_grad).backward()
    return y, x.grad


# output kinds
for name, fw in {
    "list": lambda ctx, x: [x * 2, x * 3],
    "dict": lambda ctx, x: {"a": x * 2},
    "none": lambda ctx, x: None,
    "int": lambda ctx, x: 3,
    "mixed": lambda ctx, x: (x * 2, None, "a", 3),
    "nested": lambda ctx, x: (x * 2, (x * 3,)),
    "emptytuple": lambda ctx, x: (),
    "allnone": lambda ctx, x: (None, 3),
    "onetuple": lambda ctx, x: (x * 2,),
    "intt": lambda ctx, x: (x.long(), x * 2),
    "int only": lambda ctx, x: x.long(),
}.items():

    def go():
        F = function("F", fw, lambda ctx, *g: g[0])
        x = leaf()
        y = F.apply(x)
        print(
            type(y).__name__,
            [
                (type(t).__name__, getattr(t, "requires_grad", None), getattr(t, "grad_fn", None))
                for t in (y if isinstance(y, (tuple, list)) else (y,))
            ],
        )
        if isinstance(y, dict):
            print({k: v.requires_grad for k, v in y.items()})

    show(name, go)

NT = collections.namedtuple("NT", "a b")


def nt():
    F = function("F", lambda ctx, x: NT(x * 2, x * 3), lambda ctx, *g: g[0])
    y = F.apply(leaf())
    return type(y).__name__, y[0].grad_fn


show("namedtuple", nt)
# backward return kinds
for name, (bw, na) in {
    "list1": (lambda ctx, g: [g], 0),
    "tuple": (lambda ctx, g: (g,), 0),
    "trailing none": (lambda ctx, g: (g, None, None), 0),
    "list trailing": (lambda ctx, g: [g, None], 0),
    "too few": (lambda ctx, g: g, 1),
    "int": (lambda ctx, g: 3, 0),
    "str": (lambda ctx, g: "a", 0),
    "dict": (lambda ctx, g: {"a": g}, 0),
    "empty": (lambda ctx, g: (), 0),
    "none": (lambda ctx, g: None, 0),
    "grad for int": (lambda ctx, g: (g, g), 1),
    "wrong dtype": (lambda ctx, g: g.double(), 0),
    "int dtype": (lambda ctx, g: g.long(), 0),
    "bool dtype": (lambda ctx, g: g > 0, 0),
    "wrong shape": (lambda ctx, g: torch.ones(4), 0),
    "bcast": (lambda ctx, g: torch.ones(2, 3), 0),
    "scalar": (lambda ctx, g: torch.tensor(1.0), 0),
    "1": (lambda ctx, g: torch.ones(1), 0),
    "numpy": (lambda ctx, g: __import__("numpy").ones(3), 0),
    "float": (lambda ctx, g: 1.0, 0),
    "generator": (lambda ctx, g: (t for t in (g,)), 0),
}.items():
    show("bw " + name, lambda: run(lambda ctx, x, *a: x * 2, bw, args=(1,) * na))


def nograd_input_grad():
    F = function("F", lambda ctx, x, w: x * w, lambda ctx, g: (g, torch.ones(7)))
    x, w = leaf(), torch.ones(3)
    F.apply(x, w).sum().backward()
    return x.grad


show("bad grad for unneeded", nograd_input_grad)
# no grads
show("empty args", lambda: function("F", lambda ctx: torch.ones(2), passing).apply())
show(
    "only nontensor",
    lambda: function("F", lambda ctx, a, b: torch.ones(2) * a, passing).apply(2, "x"),
)
show(
    "tensors in list",
    lambda: function("F", lambda ctx, items: items[0] * 2, passing).apply([leaf()]),
)
show("too many args", lambda: function("F", lambda ctx, a: a, passing).apply(1, 2))
show("too few args", lambda: function("F", lambda ctx, a: a, passing).apply())
# instances
show("Function.apply", lambda: Function.apply(leaf()))
show("no forward", lambda: type("NF", (Function,), {}).apply(leaf()))


class NonStatic(Function):
    def forward(self, x):
        return x * 2

    def backward(self, g):
        return g


show("nonstatic", lambda: NonStatic.apply(leaf()))


# names
class Outer:
    class InnerF(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2


y = Outer.InnerF.apply(leaf())
print(y.grad_fn.name(), type(y.grad_fn).__name__, y, y.grad_fn.next_functions[0][1])


def hooks():
    x = leaf()
    y = Outer.InnerF.apply(x)
    y.grad_fn.register_hook(lambda gi, go: print("hook", gi, go))
    y.grad_fn.register_prehook(lambda go: print("pre", go))
    y.sum().backward()
    return x.grad


show("hooks", hooks)


def setneeds():
    def fw(ctx, x, y):
        ctx.needs_input_grad = (False, True)
        return x * y

    def bw(ctx, g):
        print(ctx.needs_input_grad)
        return g, g

    x, w = leaf(), leaf()
    function("F", fw, bw).apply(x, w).sum().backward()
    return x.grad, w.grad


show("setneeds", setneeds)


def needs_input_grad_inputs():
    def bw(ctx, g):
        print(ctx.needs_input_grad)
        return g, g

    x, w = leaf(), leaf()
    y = function("F", lambda ctx, x, y: x * y, bw).apply(x, w)
    print(torch.autograd.grad(y.sum(), x))


show("needs grad inputs", needs_input_grad_inputs)


def needs_input_grad_unneeded_error():
    def bw(ctx, g):
        return g, torch.ones(17)

    x, w = leaf(), leaf()
    y = function("F", lambda ctx, x, y: x * y, bw).apply(x, w)
    print(torch.autograd.grad(y.sum(), x))


show("unneeded bad shape", needs_input_grad_unneeded_error)


def undefined_all():
    def bw(ctx, *g):
        print("called", g)
        return g[0]

    def fw(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    F = function("F", fw, bw)
    x = leaf()
    a, b = F.apply(x)
    b.sum().backward()
    return x.grad


show("undefined", undefined_all)


def undefined_builtin():
    Non = function("Non", lambda ctx, x: x * 2, lambda ctx, g: None)
    x = leaf()
    a = Non.apply(x * x)
    a.sum().backward()
    return x.grad


show("undefined builtin", undefined_builtin)


def undefined_grad():
    Non = function("Non", lambda ctx, x: x * 2, lambda ctx, g: None)
    x = leaf()
    return torch.autograd.grad(Non.apply(x).sum(), x)


show("undefined grad()", undefined_grad)
show(
    "undefined grad() allow",
    lambda: torch.autograd.grad(
        function("Non", lambda ctx, x: x * 2, lambda ctx, g: None).apply(x := leaf()).sum(),
        x,
        allow_unused=True,
    ),
)
show(
    "materialize",
    lambda: torch.autograd.grad(
        function("Non", lambda ctx, x: x * 2, lambda ctx, g: None).apply(x := leaf()).sum(),
        x,
        materialize_grads=True,
    ),
)
