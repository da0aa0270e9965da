"""Formulas as Python over Tensors: the lowering for higher orders, forward mode and transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from .model import Binary, Call, Expr, Name, Unary
from .printer import Printer

WIDTH = 66

QUERIES = {
    "shape": 1,
    "size": 2,
    "ndim": 1,
    "numel": 1,
    "dtype_of": 1,
    "len": 1,
    "integral": 2,
    "is_floating_point": 1,
    "is_number": 1,
    "viewable": 2,
    "is_contiguous": 1,
    "flat_shape": 3,
    "kept_shape": 2,
    "lane_shape": 2,
    "inverse_permutation": 1,
    "lengths": 2,
    "quotients": 2,
    "class_dim": 1,
    "dims": 1,
    "refuse": 3,
    "fail": 1,
    "contains": 2,
    "convolution_plan": 8,
    "negated": 1,
    "padding_mode": 2,
    "probability": 1,
    "random_key": 0,
    "table_row": 2,
    "vector": 3,
    "renormalized": 4,
    "class_index": 3,
    "class_target": 3,
    "class_terms": 5,
    "class_share": 2,
    "class_shares": 1,
    "logits_target": 4,
    "smoothing": 1,
    "wanted_classes": 3,
    "epsilon": 1,
    "bilinear_pair": 4,
    "half_shape": 2,
    "grouped_shape": 4,
    "has_long_runs": 1,
    "one_window": 2,
    "line_window": 4,
    "pooled_line": 2,
    "batch": 3,
    "batch_statistics": 6,
    "channel_shape": 1,
    "divergence_reduction": 1,
    "equal_shape": 2,
    "fractions": 1,
    "logits_weight": 2,
    "loss_parameter": 3,
    "loss_weight": 2,
    "other_dims": 2,
    "overflows": 2,
    "probabilities": 2,
    "probability_weight": 1,
    "reduction_name": 1,
    "reduction_number": 1,
    "same_shape": 2,
    "tracked": 5,
    "matrices": 2,
    "matrix": 2,
    "normed": 4,
    "right_hand_side": 3,
    "row_major": 1,
    "square_matrices": 2,
    "square_shape": 2,
    "svd_driver": 1,
    "wide_factor": 3,
}
"""Functions of formulas that yield plain values, and how many arguments each takes."""

CallRewrite = Callable[[Call, Printer], "str | None"]


class TensorPrinter:
    """Prints expressions in which declared operators are reached through `ops`.

    `tensors` are the names that hold tensors: comparisons and `and`/`or`/`not` between them
    are element by element, between plain values they are Python's. `rewrite_call` may print a
    call its own way (lane reductions of the rowwise family).
    """

    def __init__(
        self,
        tensors: Set[str],
        *,
        rename: Mapping[str, str] | None = None,
        rewrite_call: CallRewrite | None = None,
    ) -> None:
        self.tensors = tensors
        self.rename = dict(rename or {})
        self.rewrite_call = rewrite_call
        self.printer = Printer(self._rewrite)

    def is_tensor(self, node: Expr) -> bool:
        """Whether the value of an expression is a tensor."""
        match node:
            case Name(name):
                return name in self.tensors
            case Call(function, _, _):
                return function not in QUERIES
            case Unary(_, operand):
                return self.is_tensor(operand)
            case Binary(operator, left, right):
                return operator not in ("is", "is not") and (
                    self.is_tensor(left) or self.is_tensor(right)
                )
        return False

    def _rewrite(self, node: Expr) -> str | None:
        match node:
            case Name(name):
                return self.rename.get(name)
            case Call():
                return self._call(node)
            case Unary("not", operand) if self.is_tensor(operand):
                return f"ops.logical_not({self.printer(operand)})"
            case Binary("and" | "or" as word, left, right) if self.is_tensor(node):
                return f"ops.logical_{word}({self.printer(left)}, {self.printer(right)})"
        return None

    def _call(self, node: Call) -> str:
        own = self.rewrite_call(node, self.printer) if self.rewrite_call else None
        if own is not None:
            return own
        parts = [self.printer(item) for item in node.arguments]
        parts += [f"{key}={self.printer(value)}" for key, value in node.keywords]
        inner = ", ".join(parts)
        match node.function:
            case "shape":
                return f"{parts[0]}.shape"
            case "size":
                return f"{parts[0]}.shape[{parts[1]}]"
            case "ndim":
                return f"{parts[0]}.ndim"
            case "numel":
                return f"{parts[0]}.numel()"
            case "dtype_of":
                return f"{parts[0]}.dtype"
            case "is_floating_point":
                return f"{parts[0]}.dtype.is_floating_point"
            case "len":
                return f"len({inner})"
            case "is_contiguous":
                return f"queries.dense({inner})"
            case query if query in QUERIES:
                return f"queries.{query}({inner})"
        return f"ops.{node.function}({inner})"

    def lines(self, target: str, tree: Expr, prefix: str = "part") -> list[str]:
        """Assignments that end in `target = tree`."""
        parts, text = self.printer.hoist(tree, WIDTH, prefix)
        return [f"{name} = {value}" for name, value in parts] + [f"{target} = {text}"]
