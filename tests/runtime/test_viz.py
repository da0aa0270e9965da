"""Pictures of the graph: what stands in them, as dot and as text."""

import gc
import re
import shutil
import sys
import weakref

import processes
import pytest
import rederive as rd
from rederive import viz
from rederive.utils.checkpoint import checkpoint

graphviz = pytest.importorskip("graphviz", reason="the Python package graphviz draws")
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot is missing")


def leaf(*shape):
    return rd.ones(shape).requires_grad_()


def perceptron():
    """The loss of two layers, and the names of their parameters."""
    names = {
        "0.weight": leaf(64, 784),
        "0.bias": leaf(64),
        "2.weight": leaf(10, 64),
        "2.bias": leaf(10),
    }
    x = rd.ones(32, 784)
    hidden = (x @ names["0.weight"].t() + names["0.bias"]).relu()
    loss = (hidden @ names["2.weight"].t() + names["2.bias"]).mean()
    return loss, names


def boxes(drawing):
    """The words in each box, by the key of the box."""
    found = re.findall(r"^\t(\w+) \[label=<(.*)>", drawing.source, re.MULTILINE)
    return {key: re.sub(r"<[^>]*>", " ", label).split() for key, label in found}


def titled(drawing, title):
    """The key of the only box with this title."""
    (key,) = [key for key, words in boxes(drawing).items() if words and words[0] == title]
    return key


def arrows(drawing):
    """(tail, head, label) of each arrow."""
    found = re.findall(r"^\t(\w+) -> (\w+)(?: \[(.*)\])?", drawing.source, re.MULTILINE)
    label = re.compile(r'label="?\s*([^"]*?)\s*"')
    return [(a, b, m.group(1) if (m := label.search(rest)) else "") for a, b, rest in found]


# --- what is shown -------------------------------------------------------------------------------


def test_a_perceptron_shows_names_shapes_and_the_way_of_gradients():
    loss, names = perceptron()
    drawing = viz.make_dot(loss, params=names)
    assert isinstance(drawing, graphviz.Digraph)
    shown = boxes(drawing)
    assert shown[titled(drawing, "0.weight")] == ["0.weight", "(64,", "784)", "float32"]
    relu, mean = titled(drawing, "ReluBackward0"), titled(drawing, "MeanBackward0")
    assert [label for tail, _, label in arrows(drawing) if tail == relu] == ["(32, 64) float32"]
    assert (mean, titled(drawing, "output"), "") in arrows(drawing)
    tails = {tail for tail, head, _ in arrows(drawing) if head == titled(drawing, "ReluBackward0")}
    assert len(tails) == 1
    assert sum(words[0] == "TBackward0" for words in shown.values()) == 2


def test_text_of_a_small_graph():
    x, w = leaf(2, 3), leaf(3)
    h = (x * w).exp()
    wanted = """\
output (2, 3) float32
└─ AddBackward0 (2, 3)
   ├─ #1 ExpBackward0
   └─ SinBackward0 (2, 3)
      └─ #1 ExpBackward0

#1 ExpBackward0 (2, 3)
└─ MulBackward0 (2, 3)
   ├─ x (2, 3) float32
   └─ w (3,) float32"""
    assert viz.text(h + h.sin(), {"x": x, "w": w}) == wanted


def test_leaves_without_names_are_numbered():
    x, y = leaf(2), leaf(3)
    shown = viz.text((x * x).sum() * y)
    assert shown.count("leaf 2 (2,) float32") == 2
    assert shown.count("leaf 1 (3,) float32") == 1


def test_gradients_of_leaves_and_retained_ones_are_shown():
    x, w = leaf(2), leaf(6, 2)
    h = w @ x
    h.retain_grad()
    (h.sum() * 3).backward(retain_graph=True)
    shown = viz.text(h.sum(), {"x": x, "w": w})
    assert "x (2,) float32  grad [18, 18]" in shown
    assert "w (6, 2) float32  grad (6, 2) float32, norm 10.39" in shown
    assert "MvBackward0 (6,)  grad (6,) float32, norm 7.348" in shown
    assert "grad [18, 18]" in viz.make_dot(h).source


def test_dtypes_stand_on_the_arrows():
    x = leaf(2)
    drawing = viz.make_dot((x * 2).double().exp())
    labels = {label for _, _, label in arrows(drawing)}
    assert labels == {"", "(2,) float64", "(2,) float32"}


def test_saved_values_are_shown_on_request():
    x, w = leaf(2, 3), leaf(3)
    y = (x * w).exp()
    assert "saved" not in viz.text(y)
    assert not any(key.startswith("saved") for key in boxes(viz.make_dot(y)))
    shown = viz.text(y, {"x": x, "w": w}, show_saved=True)
    assert "saved result (2, 3) float32" in shown
    assert "saved as other: w (3,) float32" in shown
    drawing = viz.make_dot(y, {"x": x, "w": w}, show_saved=True)
    assert boxes(drawing)["saved1"] == ["result", "(2,", "3)", "float32"]
    assert (titled(drawing, "w"), titled(drawing, "MulBackward0"), "saved as other") in arrows(
        drawing
    )


def test_saved_tensors_that_have_names_say_so():
    data, weight = rd.ones(2, 3), leaf(2, 3)
    shown = viz.text(weight * data, {"data": data}, show_saved=True)
    assert "saved other = data (2, 3) float32" in shown


def test_few_saved_elements_are_written_out():
    shown = viz.text(leaf(2) * rd.tensor([1.5, -2.0]), show_saved=True)
    assert "saved other (2,) float32  [1.5, -2]" in shown


def test_saved_values_of_rowwise_kernels_and_of_views():
    x = leaf(4, 5)
    shown = viz.text(x.log_softmax(1)[0], show_saved=True, show_attrs=True)
    assert "saved result (4, 5) float32" in shown
    assert "SelectBackward0 (5,)  [view]  dim = 0  index = 0" in shown


def test_released_values_are_told():
    y = leaf(2).exp()
    y.sum().backward()
    assert "saved values released" in viz.text(y, show_saved=True)
    viz.make_dot(y, show_saved=True, show_attrs=True)


def test_hooks_are_not_called():
    calls = []

    def counted(t):
        calls.append(1)
        return t.exp().sin()

    y = checkpoint(counted, leaf(2), use_reentrant=False)
    assert viz.text(y, show_saved=True).count("packed by hooks") == 2
    viz.make_dot(y, show_saved=True)
    assert len(calls) == 1


def test_arguments_are_shown_on_request_and_cut():
    y = leaf(2, 1).expand(2, 40).reshape(2, 5, 2, 2, 2, 1, 1).transpose(0, 1)
    assert "dim0" not in viz.text(y)
    shown = viz.text(y, show_attrs=True)
    assert "dim0 = 0  dim1 = 1" in shown
    assert "self_shape = (2, 40)" in shown
    assert "self_shape = (2...)" in viz.text(y, show_attrs=True, max_attr_chars=6)
    assert "SumBackward0 (2, 1)  dim = (1,)" in viz.text(leaf(2, 3).sum(1, True), show_attrs=True)
    assert "dim1 = 1<" in viz.make_dot(y, show_attrs=True).source


# --- kinds of nodes ------------------------------------------------------------------------------


class Double(rd.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, None, a * 2)
        return a * 2, b * 2

    @staticmethod
    def backward(ctx, g, h):
        return g * 2, h * 2


def style_of(drawing, key):
    (line,) = [line for line in drawing.source.splitlines() if line.startswith(f"\t{key} [label")]
    return re.search(r"shape=(\w+) style=\"?([\w,]+)", line).groups()


def test_custom_functions_and_their_saved_tensors():
    x, w = leaf(2), leaf(2)
    first, second = Double.apply(x, w)
    drawing = viz.make_dot(first * second, {"x": x}, show_saved=True)
    key = titled(drawing, "DoubleBackward")
    assert style_of(drawing, key)[0] == "component"
    assert (titled(drawing, "x"), key, "saved as tensor 0") in arrows(drawing)
    assert ["tensor", "2", "(2,)", "float32", "[2,", "2]"] in boxes(drawing).values()
    labels = [label for tail, _, label in arrows(drawing) if tail == key]
    assert labels == ["output 0 (2,) float32", "output 1 (2,) float32"]
    assert "DoubleBackward (2,), (2,)  [custom]" in viz.text(first * second)


def test_writing_in_place_into_a_view():
    x = leaf(3, 2)
    y = x * 1
    y[0].mul_(2)
    shown = viz.text(y)
    assert "CopySlices (3, 2)  [in place]" in shown
    assert "Backward0 (2,)  [view]" in shown
    assert "size = (2,)  stride = (1,)  storage_offset = 0" in viz.text(y, show_attrs=True)
    drawing = viz.make_dot(y)
    assert style_of(drawing, titled(drawing, "CopySlices"))[1] == "bold,filled"
    drawing = viz.make_dot(x[0])
    assert style_of(drawing, titled(drawing, "SelectBackward0"))[1] == "dashed,filled"


def test_a_result_that_is_a_view_shows_its_base():
    x = leaf(3, 2)
    y = x * 1
    drawing = viz.make_dot(y[1:], {"y": y})
    assert boxes(drawing)["base1"] == ["y", "(3,", "2)", "float32"]
    assert ("base1", "output1", "view") in arrows(drawing)


def test_several_outputs_of_a_node():
    first, _, last = leaf(6).chunk(3)
    shown = viz.text(first * last)
    assert "output 0: #1 ChunkBackward0" in shown
    assert "output 2: #1 ChunkBackward0" in shown
    assert "#1 ChunkBackward0 (2,), (2,), (2,)  [view]" in shown


def test_the_graph_of_a_backward_pass():
    x = leaf(2)
    (first,) = rd.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
    (second,) = rd.autograd.grad(first.sum(), x, create_graph=True)
    shown = viz.text(second, {"x": x})
    assert shown.count("ExpBackward0 (2,)") == 1
    assert "x (2,) float32" in shown
    assert len(boxes(viz.make_dot(second))) > 5


def test_results_of_all_kinds():
    x = leaf(2)
    y = x.exp()
    assert viz.text(x, {"x": x}) == "x (2,) float32"
    assert viz.text(rd.ones(2)) == "output (2,) float32  [1, 1]"
    assert viz.text([y, None, y.sin()]).splitlines()[0].startswith("output 0 (2,)")
    assert "loss (2,) float32" in viz.text({"loss": y})
    assert "y (2,) float32" in viz.text(y, {"y": y})
    edge = rd.autograd.graph.get_gradient_edge(y)
    assert viz.text(edge, {"x": x}) == ("output (2,)\n└─ ExpBackward0 (2,)\n   └─ x (2,) float32")
    assert viz.text(rd.autograd.graph.get_gradient_edge(x), {"x": x}) == "x (2,) float32"
    for wrong in (3, None, [y, 3], "y"):
        with pytest.raises(TypeError, match="a Tensor, a GradientEdge, or a list, tuple or"):
            viz.make_dot(wrong)


# --- names ---------------------------------------------------------------------------------------


class Module:
    def __init__(self, tensor):
        self.tensor = tensor

    def named_parameters(self):
        yield "0.weight", self.tensor

    def named_modules(self):
        yield "", self
        yield "0", 3.5


@pytest.mark.parametrize(
    ("params", "title"),
    [
        (lambda x: {"x": x, "none": None}, "x "),
        (lambda x: [("x", x)], "x "),
        (lambda x: iter({"x": x}.items()), "x "),
        (lambda x: {"x": x.detach()}, "x "),
        (lambda x: {"row": x.detach()[0]}, "leaf 1"),
        (Module, "float 0.weight "),
        (lambda x: None, "leaf 1"),
    ],
    ids=["dictionary", "pairs", "iterator", "state", "view", "module", "none"],
)
def test_names_come_in_several_forms(params, title):
    x = leaf(2, 2)
    assert f"└─ {title}" in viz.text(x.exp(), params(x))


def test_names_must_be_of_tensors():
    with pytest.raises(TypeError, match="params: 'a' is a int"):
        viz.make_dot(leaf(2), {"a": 3})
    with pytest.raises(TypeError, match="params: got an entry of type Tensor; pairs"):
        viz.text(leaf(2), [leaf(2)])


@needs_dot
def test_names_may_hold_any_character():
    x = leaf(2)
    name = '<b>&"weight"\\n</table>'
    svg = viz.make_dot(x.exp(), {name: x}).pipe(format="svg", encoding="utf-8")
    assert "&lt;b&gt;&amp;&quot;weight&quot;" in svg


# --- size ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_chain():
    t = leaf(2)
    for _ in range(100_000):
        t = t.sin()
    return t


def test_a_hundred_thousand_nodes_as_text(long_chain):
    lines = viz.text(long_chain).splitlines()
    assert sum("SinBackward0 (2,)" in line for line in lines) == 100_000
    assert max(map(len, lines)) < 120


def test_too_many_nodes_are_refused_with_a_hint(long_chain):
    with pytest.raises(ValueError, match=r"more than 1000 nodes.*max_nodes=100.*viz.text"):
        viz.make_dot(long_chain)


def test_the_rest_of_a_graph_is_left_out(long_chain):
    drawing = viz.make_dot(long_chain, max_nodes=5)
    assert sum(words[0] == "SinBackward0" for words in boxes(drawing).values()) == 5
    assert "99995 more nodes" in drawing.source
    assert ("more1", "node5", "(2,) float32") in arrows(drawing)
    assert viz.text(long_chain, max_nodes=2).endswith("└─ 99998 more nodes")
    x = leaf(2)
    assert "more" not in viz.text(x.sin().cos(), max_nodes=2)


def test_a_drawing_keeps_nothing_of_the_graph():
    x = leaf(2)
    gone = weakref.ref(x)
    gc.disable()
    try:
        drawing = viz.make_dot(x.exp(), {"x": x}, show_saved=True)
        del x
        assert gone() is None
    finally:
        gc.enable()
    assert "ExpBackward0" in drawing.source


def test_the_same_graph_gives_the_same_source():
    drawings = [viz.make_dot(*perceptron(), show_saved=True, show_attrs=True) for _ in range(2)]
    assert drawings[0].source == drawings[1].source


# --- legend and looks ----------------------------------------------------------------------------


def test_the_legend_explains_what_occurs():
    x = leaf(2)
    legend = " ".join(boxes(viz.make_dot(x.exp()))["legend"])
    assert "leaf: gradients accumulate here" in legend
    assert "custom" not in legend
    assert "saved" not in legend
    assert "saved for the gradient" in viz.make_dot(x.exp(), show_saved=True).source
    assert "legend" not in viz.make_dot(x.exp(), legend=False).source


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_kinds_differ_in_form_and_text_stands_out():
    looks = [
        (shape, style, kind == "output") for kind, (_, shape, style, *_) in viz._STYLES.items()
    ]
    # a base is drawn as the view that it is, a tensor written in place has a line of its own
    assert len(set(looks)) >= len(looks) - 2
    for _, _, _, fill, _ in viz._STYLES.values():
        assert (luminance(fill) + 0.05) / 0.05 > 12  # black on the fill


# --- notebooks, and what may be missing ----------------------------------------------------------


@needs_dot
def test_notebooks_show_svg():
    loss, names = perceptron()
    drawing = viz.make_dot(loss, names, show_attrs=True, show_saved=True)
    assert "<svg" in drawing._repr_svg_()
    assert "0.weight" in drawing._repr_mimebundle_()["image/svg+xml"]


def test_without_dot_notebooks_show_the_text(monkeypatch):
    drawing = viz.make_dot(leaf(2).exp())
    monkeypatch.setenv("PATH", "")
    assert drawing._repr_svg_() is None
    (shown,) = drawing._repr_mimebundle_().values()
    assert shown.startswith("The program `dot` is not installed")
    assert "└─ ExpBackward0 (2,)" in shown
    assert "digraph" in drawing.copy()._repr_mimebundle_()["text/plain"]


def test_without_graphviz_the_error_says_what_to_install(monkeypatch):
    viz._drawing_class.cache_clear()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"pip install graphviz \(or rederive\[viz\]\)"):
        viz.make_dot(leaf(2).exp())
    assert viz.text(leaf(2).exp())
    viz._drawing_class.cache_clear()


def test_pictures_are_not_imported_with_the_library():
    code = "import sys, rederive; print('graphviz' in sys.modules, 'rederive.viz' in sys.modules)"
    assert processes.python(code) == ["False", "False"]
    assert processes.python("import rederive; print(rederive.viz.text.__name__)") == ["text"]
