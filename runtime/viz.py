"""Pictures of the recorded graph: `make_dot` for graphviz, `text` for the terminal.

Boxes are leaves, nodes and results; arrows go the way of the computation, and carry the shape of
the value, which is also that of the gradient that comes back.
"""

from __future__ import annotations

import functools
from collections import deque
from html import escape

from .graph_picture import Options, TooManyNodes, picture_of

__all__ = ["make_dot", "text"]

MANY_NODES = 1000

# Okabe and Ito's colours, which people with any kind of colour vision tell apart; each kind has a
# form of its own, too. kind -> (meaning, shape, style, fill, line)
_STYLES = {
    "leaf": ("leaf: gradients accumulate here", "box", "rounded,filled", "#CFE8F7", "#0072B2"),
    "output": ("result", "box", "bold,filled", "#C9EBDD", "#007A5A"),
    "base": ("tensor that the result is a view of", "box", "dashed,filled", "#E3F4EC", "#007A5A"),
    "node": ("operation", "box", "filled", "#F4F4F4", "#444444"),
    "view": ("view: no data moved", "box", "dashed,filled", "#F4F4F4", "#444444"),
    "in place": ("written in place", "box", "bold,filled", "#F7E1EE", "#CC79A7"),
    "custom": ("custom Function", "component", "filled", "#FBF6BF", "#8A7F00"),
    "saved": ("saved for the gradient", "note", "filled", "#FBE3B8", "#C77800"),
    "more": ("left out", "box", "dotted", "#FFFFFF", "#444444"),
}
_ARROWS = {
    "flow": {},
    "saved": {"style": "dashed", "color": "#C77800", "arrowhead": "none"},
    "base": {"style": "dotted", "color": "#007A5A"},
}
_WITH_SHAPE = ("leaf", "output", "base", "saved")
_MISSING = (
    "make_dot needs the Python package graphviz: pip install graphviz (or rederive[viz]). "
    "rederive.viz.text(...) needs nothing."
)
_NO_DOT = (
    "The program `dot` is not installed, so the graph is shown as text. It comes with Graphviz "
    "(https://graphviz.org/download, or: apt-get install graphviz)."
)


def make_dot(
    var,
    params=None,
    show_attrs=False,
    show_saved=False,
    max_attr_chars=50,
    *,
    max_nodes=None,
    legend=True,
):
    """The graph that leads to `var`, as a `graphviz.Digraph`.

    Notebooks show it as SVG; `render("name", format="png")` writes a file. Nothing is computed and
    no hook is called. The gradients that leaves and tensors with `retain_grad` have accumulated
    are shown.

    Parameters
    ----------
    var : Tensor, GradientEdge, or list, tuple or dictionary of them
        The results.
    params : dict, iterable of pairs, or module, optional
        Names of tensors.
    show_attrs : bool
        Show the arguments that nodes remember, as `dim`.
    show_saved : bool
        Show the tensors that nodes saved.
    max_attr_chars : int
        Longer arguments are cut.
    max_nodes : int, optional
        Draw only so many nodes, those made last. By default all are drawn, and ValueError is
        raised if there are more than 1000.
    legend : bool
        Explain the colours and forms that occur.
    """
    kind = _drawing_class()
    refuse = MANY_NODES if max_nodes is None else None
    options = Options(params, show_attrs, show_saved, max_attr_chars, max_nodes, refuse)
    try:
        picture = picture_of(var, options)
    except TooManyNodes:
        raise ValueError(
            f"make_dot: the graph has more than {MANY_NODES} nodes, too many to read. Give "
            "max_nodes=100 for the 100 made last, or a number large enough for all; "
            "rederive.viz.text() writes graphs of any size"
        ) from None
    drawing = kind(
        name="autograd",
        graph_attr={"fontname": "Helvetica", "ranksep": "0.35", "nodesep": "0.3"},
        node_attr={
            "fontname": "Helvetica",
            "fontsize": "11",
            "height": "0.3",
            "margin": "0.1,0.05",
        },
        edge_attr={
            "fontname": "Helvetica",
            "fontsize": "9",
            "color": "#444444",
            "arrowsize": "0.7",
        },
    )
    drawing.picture = picture
    if legend:
        drawing.node("legend", label=_legend(picture), shape="plain")
    for box in picture.boxes.values():
        drawing.node(box.key, label=_label(box), **_style(box.kind))
    for arrow in picture.arrows:
        words = f"{arrow.note} {arrow.shape}".strip()
        label = {"label": f" {words} "} if words else {}
        drawing.edge(arrow.tail, arrow.head, **label, **_ARROWS[arrow.kind])
    return drawing


@functools.cache
def _drawing_class():
    """`graphviz.Digraph`, whose pictures in notebooks become text where `dot` is missing."""
    try:
        import graphviz
    except ImportError:
        raise ImportError(_MISSING) from None

    class Drawing(graphviz.Digraph):
        """A Digraph of a recorded graph."""

        picture = None

        def _repr_mimebundle_(self, include=None, exclude=None, **options):
            try:
                return super()._repr_mimebundle_(include, exclude, **options)
            except graphviz.ExecutableNotFound:
                shown = self.source if self.picture is None else _as_text(self.picture)
                return {"text/plain": f"{_NO_DOT}\n\n{shown}"}

        def _repr_svg_(self):
            try:
                return self.pipe(format="svg", encoding="utf-8")
            except graphviz.ExecutableNotFound:
                return None

    return Drawing


def _style(kind):
    _, shape, style, fill, line = _STYLES[kind]
    looks = {"shape": shape, "style": style, "fillcolor": fill, "color": line}
    return looks | ({"peripheries": "2"} if kind == "output" else {})


def _label(box):
    """Title and lines as Graphviz's HTML, so that any text can stand in them.

    The shape that a node computed stands on the arrows that leave it.
    """
    lines = [box.shape, *box.lines] if box.kind in _WITH_SHAPE and box.shape else box.lines
    small = [f'<font point-size="9">{escape(line)}</font>' for line in lines]
    return f"<{'<br/>'.join([f'<b>{escape(box.title)}</b>', *small])}>"


def _border(style):
    return next((word for word in ("dashed", "dotted") if word in style), "solid")


def _legend(picture):
    """A table of the kinds of boxes that occur."""
    used = {box.kind for box in picture.boxes.values()}
    rows = [
        f'<tr><td bgcolor="{fill}" border="1" color="{line}" style="{_border(style)}" width="18">'
        f"</td>"
        f'<td align="left"><font point-size="9">{meaning}</font></td></tr>'
        for kind, (meaning, _, style, fill, line) in _STYLES.items()
        if kind in used
    ]
    rows.append(
        '<tr><td><font point-size="9">&#8594;</font></td><td align="left"><font point-size="9">'
        "shape of the value, and of its gradient</font></td></tr>"
    )
    return f'<<table border="0" cellborder="0" cellspacing="3">{"".join(rows)}</table>>'


# --- text ----------------------------------------------------------------------------------------

_DEEPEST = 24


def text(
    var,
    params=None,
    show_attrs=False,
    show_saved=False,
    max_attr_chars=50,
    *,
    max_nodes=None,
):
    """The graph that leads to `var` as indented text: below each node what it was computed from.

    A node that is used more than once, or lies deep, has a number and a paragraph of its own. The
    parameters are those of `make_dot`; by default all nodes are written.
    """
    options = Options(params, show_attrs, show_saved, max_attr_chars, max_nodes)
    return _as_text(picture_of(var, options))


def _as_text(picture):
    return "\n".join(_Writer(picture).lines())


class _Writer:
    """Writes a picture as trees, one after the other."""

    def __init__(self, picture):
        self.boxes = picture.boxes
        self.below = {}  # key -> arrows that lead to it
        self.uses = {}
        for arrow in picture.arrows:
            self.below.setdefault(arrow.head, []).append(arrow)
            self.uses[arrow.tail] = self.uses.get(arrow.tail, 0) + 1
        self.numbers = {}
        self.waiting = deque()

    def lines(self):
        """All lines: the results first, then the numbered nodes."""
        written = []
        for key in self.boxes:
            if key not in self.uses:
                written += self._tree(key, self._words(key))
        while self.waiting:
            key = self.waiting.popleft()
            written += ["", *self._tree(key, f"#{self.numbers[key]} {self._words(key)}")]
        return written

    def _words(self, key):
        box = self.boxes[key]
        tag = f"[{box.kind}]" if box.kind in ("view", "in place", "custom") else ""
        head = f"{box.title} {box.shape}".strip()
        return "  ".join(filter(None, [head, tag, *box.lines]))

    def _tree(self, root, first):
        """The lines of a box and of those below it, without recursion."""
        lines = [first]
        stack = self._children(root, "", 1)
        while stack:
            arrow, prefix, last, depth = stack.pop()
            key = arrow.tail
            branch = "\u2514\u2500 " if last else "\u251c\u2500 "
            note = f"{arrow.note}: " if arrow.note else "saved " * (arrow.kind == "saved")
            if key not in self.below:
                lines.append(f"{prefix}{branch}{note}{self._words(key)}")
            elif self.uses[key] > 1 or depth > _DEEPEST:
                lines.append(f"{prefix}{branch}{note}{self._reference(key)}")
            else:
                lines.append(f"{prefix}{branch}{note}{self._words(key)}")
                stack += self._children(key, prefix + ("   " if last else "\u2502  "), depth + 1)
        return lines

    def _children(self, key, prefix, depth):
        """What lies below a box, the first on top of the stack."""
        arrows = self.below.get(key, [])
        return [(a, prefix, a is arrows[-1], depth) for a in reversed(arrows)]

    def _reference(self, key):
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers) + 1
            self.waiting.append(key)
        return f"#{self.numbers[key]} {self.boxes[key].title}"
