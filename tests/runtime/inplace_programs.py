"""Small random programs of views and in-place operations, run in place and written out of place.

A program is a list of steps, each four integers: the operation, and three numbers that choose the
tensor it acts on and its arguments. Every library runs the same steps; a step that raises changes
nothing. `InPlace` runs them as they are, with rederive or PyTorch. `OutOfPlace` keeps, for each
memory, one tensor that is never changed, and for each tensor the places it shows of it.
"""

import numpy as np

SHAPE = (4, 3)
VIEWS = ("select", "slice", "step", "t", "unsqueeze", "flatten", "narrow", "all", "expand")
MANY = ("unbind", "split", "chunk")
WRITES = (
    "scale",
    "times_w",
    "add_sum",
    "sin",
    "square",
    "neg",
    "tanh",
    "copy_w",
    "copy_other",
    "fill",
    "fill_sum",
    "zero",
    "set_row",
    "set_slice",
    "set_index",
    "set_mask",
    "times_other",
    "relu",
    "clamp",
)
SHAPES = ("t_", "unsqueeze_")
OTHERS = ("detach", "read", "retain", "no_grad_scale", "no_grad_view", "fresh", "on_leaf", "clone")
KINDS = VIEWS + MANY + WRITES + SHAPES + OTHERS


def leaves():
    values = np.random.RandomState(7)
    return values.uniform(0.3, 1.2, SHAPE), values.uniform(0.3, 1.2, SHAPE[-1:])


class InPlace:
    """A program run with rederive or PyTorch (`m`), views and all."""

    def __init__(self, m):
        self.m = m
        x, w = leaves()
        self.x = m.tensor(x, requires_grad=True)
        self.w = m.tensor(w, requires_grad=True)
        self.tensors = [self.x * 1]
        self.terms = []
        self.retained = []
        self.unrecorded = False

    def step(self, kind, a, b, c):
        """Run a step: None, or the name of the error it raised, or "nothing" if it was left out."""
        name = KINDS[kind]
        t = self.tensors[a % len(self.tensors)]
        if self.left_out(name, t):
            return "nothing"
        try:
            self.do(name, t, b, c)
        except (RuntimeError, IndexError, ValueError, ZeroDivisionError) as error:
            return type(error).__name__
        return None

    def left_out(self, name, t):
        """Whether a step would meet what PyTorch does differently, with good reason or none."""
        if name in WRITES and 0 in t.stride() and name.startswith(("set_", "fill", "zero")):
            return True  # allowed, but then PyTorch's backward pass fails
        if name == "set_index" and t.dim() and t.shape[0] < 2:
            return True  # of two values for one place, PyTorch sends the gradient to both
        # PyTorch retains the gradient of the shape that was; and after a change that is not
        # recorded, it does not retain what flows through views of views
        unrecorded = name == "no_grad_scale" or (name in WRITES and not t.requires_grad)
        if unrecorded and not self.retained:
            self.unrecorded = True
        if name in SHAPES or unrecorded:
            return bool(self.retained)
        return name == "retain" and self.unrecorded

    def do(self, name, t, b, c):
        if name in VIEWS:
            self.tensors.append(self.view(name, t, b, c))
        elif name in MANY:
            parts = self.parts(name, t, b)
            self.tensors.append(parts[c % len(parts)])
        elif name in WRITES:
            self.write(name, t, b, c)
        elif name in SHAPES:
            t.t_() if name == "t_" else t.unsqueeze_(b % (t.dim() + 1))
        elif name == "detach":
            self.tensors.append(t.detach())
        elif name == "clone":
            copy = self.m.zeros(tuple(t.shape), dtype=self.m.float64)
            self.tensors.append(copy.copy_(t))
        elif name == "read":
            # of a view made without a graph, PyTorch does not even look at what was saved
            kept = t.detach() if t.is_leaf else t
            self.terms.append((kept * kept).sum())
        elif name == "retain":
            t.retain_grad()
            self.retained.append(t)
        elif name == "no_grad_scale":
            with self.m.no_grad():
                t.mul_(1.0 + b % 3)
        elif name == "no_grad_view":
            with self.m.no_grad():
                self.tensors.append(self.view("slice", t, b, c))
        elif name == "fresh":
            self.tensors.append(self.m.ones(SHAPE, dtype=self.m.float64))
        else:
            leaf = (self.x, self.w)[b % 2]
            (leaf if c % 2 else leaf[0]).mul_(2.0)

    def view(self, name, t, b, c):
        match name:
            case "select":
                return t.select(b % t.dim(), c % max(t.shape[b % t.dim()], 1))
            case "slice":
                return t[b % 3 :]
            case "step":
                return t[:: 1 + b % 2]
            case "t":
                return t.t()
            case "unsqueeze":
                return t.unsqueeze(b % (t.dim() + 1))
            case "flatten":
                return t.view(-1)
            case "narrow":
                return t.narrow(0, b % 2, 1 + c % 2)
            case "all":
                return t[...]
        return t.unsqueeze(0).expand(2, *t.shape)

    def parts(self, name, t, b):
        if name == "unbind":
            return t.unbind(b % max(t.dim(), 1))
        return t.split(1 + b % 2) if name == "split" else t.chunk(1 + b % 3)

    def write(self, name, t, b, c):
        w, other = self.w, self.tensors[b % len(self.tensors)]
        match name:
            case "scale":
                t.mul_(0.5 + c % 3)
            case "times_w":
                t.mul_(w)
            case "add_sum":
                t.add_(w.sum())
            case "sin":
                t.sin_()
            case "square":
                t.pow_(2)
            case "neg":
                t.neg_()
            case "tanh":
                t.tanh_()
            case "relu":
                t.relu_()
            case "clamp":
                t.clamp_(-0.5, 0.75)
            case "copy_w":
                t.copy_(w)
            case "copy_other":
                t.copy_(other.clone())
            case "times_other":
                t.mul_(other.clone())
            case "fill":
                t.fill_(0.25 * (c % 5))
            case "fill_sum":
                t.fill_(w.sum())
            case "zero":
                t.zero_()
            case "set_row":
                t[c % max(t.shape[0], 1) if t.dim() else 0] = w[b % 3] if b % 2 else 2.5
            case "set_slice":
                t[b % 3 :: 1 + c % 2] = w[c % 3] * 2
            case "set_index":
                t[[0, -1]] = w[b % 3] if c % 2 else -1.0
            case _:
                t[t > 0.5] = w[b % 3] if c % 2 else -0.75

    def loss(self):
        shown = [self.tensors[i] for i in self.readable()]
        return sum([(t * t).sum() * (1 + i / 7) for i, t in enumerate(shown)] + self.terms)

    def readable(self):
        """The numbers of the tensors whose history may still be used."""
        found = []
        for number, t in enumerate(self.tensors):
            try:
                t * 1
            except RuntimeError:
                continue
            found.append(number)
        return found


class Shown:
    """A tensor of `OutOfPlace`: the places that it shows of a memory, and whether it is a view."""

    def __init__(self, memory, places, view=True):
        self.memory = memory
        self.places = places
        self.view = view


class OutOfPlace:
    """The same program with rederive (`m`) where no tensor is ever changed.

    memories: one flat tensor each, replaced when something is written. Steps without a meaning
    here (PURE names those that have one) must not be part of the program.
    """

    PURE = tuple(k for k in KINDS if k not in ("detach", "no_grad_view", "on_leaf"))

    def __init__(self, m):
        self.m = m
        x, w = leaves()
        self.x = m.tensor(x, requires_grad=True)
        self.w = m.tensor(w, requires_grad=True)
        self.memories = []
        self.terms = []
        self.retained = []
        self.tensors = [self.new(self.x * 1)]

    def new(self, values):
        self.memories.append(values.reshape(-1))
        places = np.arange(values.numel()).reshape(values.shape)
        return Shown(len(self.memories) - 1, places, view=False)

    def read(self, t, places=None):
        places = t.places if places is None else places
        return self.memories[t.memory][self.m.tensor(places)]

    def put(self, t, places, values):
        """Replace a memory by one that holds `values` at `places`."""
        m, flat = self.m, self.memories[t.memory]
        if places.size == 0:
            return
        values = values + m.zeros(places.shape, dtype=m.float64)
        where = m.tensor(places.reshape(-1))
        written = m.zeros(len(flat), dtype=m.float64).index_add(0, where, values.reshape(-1))
        kept = np.ones(len(flat))
        kept[places.reshape(-1)] = 0
        self.memories[t.memory] = flat * m.tensor(kept) + written

    def step(self, kind, a, b, c):
        name = KINDS[kind]
        t = self.tensors[a % len(self.tensors)]
        if name in VIEWS:
            self.tensors.append(Shown(t.memory, self.view(name, t.places, b, c)))
        elif name in MANY:
            parts = self.parts(name, t.places, b)
            self.tensors.append(Shown(t.memory, parts[c % len(parts)]))
        elif name in WRITES:
            self.write(name, t, b, c)
        elif name in SHAPES:
            axis = b % (t.places.ndim + 1)
            t.places = t.places.T if name == "t_" else np.expand_dims(t.places, axis)
        elif name == "clone":
            self.tensors.append(self.new(self.read(t)))
        elif name == "fresh":
            self.tensors.append(self.new(self.m.ones(SHAPE, dtype=self.m.float64)))
        elif name == "read":
            values = self.read(t)
            self.terms.append((values * values).sum())
        elif name == "retain":
            self.retained.append(t)
        elif name == "no_grad_scale":
            # the values change, and the gradients do not know
            values = self.read(t)
            self.put(t, t.places, values + (values * (b % 3)).detach())

    def view(self, name, p, b, c):
        match name:
            case "select":
                return np.take(p, c % p.shape[b % p.ndim], b % p.ndim)
            case "slice":
                return p[b % 3 :]
            case "step":
                return p[:: 1 + b % 2]
            case "t":
                return p.T
            case "unsqueeze":
                return np.expand_dims(p, b % (p.ndim + 1))
            case "flatten":
                return p.reshape(-1)
            case "narrow":
                return p[b % 2 : b % 2 + 1 + c % 2]
            case "all":
                return p
        return np.broadcast_to(p, (2, *p.shape))

    def parts(self, name, p, b):
        if name == "unbind":
            return list(np.moveaxis(p, b % p.ndim, 0))
        size = 1 + b % 2 if name == "split" else -(-len(p) // (1 + b % 3))
        return [p[i : i + size] for i in range(0, max(len(p), 1), max(size, 1))]

    def write(self, name, t, b, c):
        m, w, values = self.m, self.w, self.read(t)
        chosen = self.tensors[b % len(self.tensors)]
        match name:
            case _ if name.startswith("set_"):
                self.set(name, t, b, c, values)
                return
            case "scale":
                result = values * (0.5 + c % 3)
            case "times_w":
                result = values * w
            case "add_sum":
                result = values + w.sum()
            case "sin" | "neg" | "tanh" | "relu":
                result = getattr(m.nn.functional if name == "relu" else m, name)(values)
            case "square":
                result = values**2
            case "clamp":
                result = m.clamp(values, -0.5, 0.75)
            case "copy_w":
                result = w
            case "copy_other":
                result = self.read(chosen)
            case "times_other":
                result = values * self.read(chosen)
            case "fill":
                result = m.full((), 0.25 * (c % 5), dtype=m.float64)
            case "fill_sum":
                result = w.sum()
            case _:
                result = m.zeros((), dtype=m.float64)
        self.put(t, t.places, result)

    def set(self, name, t, b, c, values):
        w, constant = self.w, self.m.tensor
        match name:
            case "set_row":
                row = t.places[c % max(len(t.places), 1) if t.places.ndim else 0]
                self.put(t, np.asarray(row), w[b % 3] if b % 2 else constant(2.5))
            case "set_slice":
                self.put(t, t.places[b % 3 :: 1 + c % 2], w[c % 3] * 2)
            case "set_index":
                self.put(t, t.places[[0, -1]], w[b % 3] if c % 2 else constant(-1.0))
            case _:
                mask = values.detach().numpy() > 0.5
                self.put(t, t.places[mask], w[b % 3] if c % 2 else constant(-0.75))

    def loss(self, readable):
        """The loss of the program; `readable` are the numbers of the tensors that count."""
        values = [self.read(self.tensors[i]) for i in readable]
        return sum([(v * v).sum() * (1 + i / 7) for i, v in enumerate(values)] + self.terms)
