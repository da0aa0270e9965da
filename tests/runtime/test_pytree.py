"""Nested containers as leaves and structure."""

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
import rederive as rd
from rederive.utils import pytree
from rederive.utils.pytree import (
    tree_all,
    tree_any,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_map_,
    tree_map_only,
    tree_structure,
    tree_unflatten,
)

Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Point:
    x: object
    y: object


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object
    derived: object = dataclasses.field(init=False, default=None)

    def __post_init__(self):
        if not isinstance(self.x, int):
            raise TypeError("x must be an int")


TREES = [
    3,
    None,
    [],
    {},
    (),
    [1, (2, {"a": 3})],
    {"b": 1, "a": [2, None]},
    OrderedDict([("z", 1), ("y", (2,))]),
    defaultdict(list, {"k": 1}),
    deque([1, 2], maxlen=5),
    Pair(1, Pair(2, [3])),
    rd.Size((2, 3)),
    Point(1, {"in": Point(2, 3)}),
    Frozen(1),
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_a_tree_comes_back_from_its_leaves_and_its_structure(tree):
    leaves, spec = tree_flatten(tree)
    back = tree_unflatten(leaves, spec)
    assert back == tree
    assert type(back) is type(tree)
    assert spec == tree_structure(tree)
    assert spec.num_leaves == len(leaves) == len(tree_leaves(tree))
    assert hash(spec) == hash(tree_structure(tree))


def test_containers_keep_what_is_not_a_leaf():
    back = tree_map(str, defaultdict(list, {"k": 1}))
    assert back.default_factory is list
    assert tree_map(str, deque([1], maxlen=5)).maxlen == 5
    assert list(tree_map(str, {"b": 1, "a": 2})) == ["b", "a"]


def test_leaves_come_in_the_order_of_the_keys():
    assert tree_leaves({"b": 1, "a": (2, [3])}) == [1, 2, 3]
    assert tree_leaves(Point([1], 2)) == [1, 2]


def test_results_with_names_are_containers():
    values, indices = rd.tensor([[1.0, 3.0]]).max(1), None
    doubled = tree_map(lambda t: t * 2, values)
    assert type(doubled) is type(values)
    assert doubled.values.item() == 6 and doubled.indices.item() == 2
    assert indices is None


def test_a_dataclass_is_rebuilt_without_its_constructor():
    changed = tree_map(lambda leaf: f"<{leaf}>", Frozen(1))
    assert changed.x == "<1>"


def test_map_takes_several_trees():
    assert tree_map(lambda a, b: a + b, {"a": 1, "b": [2]}, {"b": [20], "a": 10}) == {
        "a": 11,
        "b": [22],
    }
    assert tree_map(lambda a, b: (a, b), [1, 2], [(3, 4), 5]) == [(1, (3, 4)), (2, 5)]
    assert tree_map(lambda a, b: a + b, {"a": 1}, OrderedDict(a=2)) == {"a": 3}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2], (3, 4), "Node type mismatch; expected <class 'list'>"),
        ([1, 2], [3], "Node arity mismatch; expected 2, but got 1"),
        ({"a": 1}, {"b": 1}, "Node keys mismatch"),
        ({"a": 1}, {"a": 1, "b": 1}, "arity mismatch"),
        (Point(1, 2), Frozen(1), "Node type mismatch"),
        (Pair(1, 2), (1, 2), "Node type mismatch"),
    ],
)
def test_other_structures_are_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        tree_map(lambda a, b: a, first, second)


def test_the_number_of_leaves_must_be_right():
    with pytest.raises(ValueError, match=r"length 1 but the spec .* holds 2 items \(\[\*, \*\]\)"):
        tree_unflatten([1], tree_structure([1, 2]))
    with pytest.raises(TypeError, match="TreeSpec"):
        tree_unflatten([1], 3)


def test_structures_are_compared_and_shown():
    assert tree_structure([1, 2]) != tree_structure((1, 2))
    assert tree_structure({"a": 1}) != tree_structure({"b": 1})
    assert tree_structure(1) != 3
    assert str(tree_structure({"a": [1, None]})) == "{'a': [*, *]}"
    assert repr(tree_structure(1)) == "*"
    assert repr(tree_structure([1])) == "TreeSpec([*])"
    assert tree_structure(1).is_leaf() and not tree_structure([]).is_leaf()


def test_a_container_can_be_declared_a_leaf():
    leaves, spec = tree_flatten([(1, 2), 3], is_leaf=lambda x: isinstance(x, tuple))
    assert leaves == [(1, 2), 3]
    assert spec.unflatten([1, 2]) == [1, 2]


def test_other_functions_of_leaves():
    seen = []
    assert tree_map_(seen.append, (1, [2])) == (1, [2])
    assert seen == [1, 2]
    assert tree_map_only(int, lambda x: x + 1, [1, "a"]) == [2, "a"]
    assert tree_map_only(lambda x: x == "a", lambda x: "b", [1, "a"]) == [1, "b"]
    assert tree_all(bool, [1, (2,)]) and not tree_all(bool, [1, (0,)])
    assert tree_any(bool, [0, (2,)]) and not tree_any(bool, [])


def test_own_containers_are_registered_once(monkeypatch):
    monkeypatch.setattr(pytree, "SUPPORTED_NODES", dict(pytree.SUPPORTED_NODES))

    class Box:
        def __init__(self, value):
            self.value = value

    assert len(tree_leaves([Box(1)])) == 1
    pytree.register_pytree_node(Box, lambda b: ([b.value], None), lambda c, _: Box(*c))
    assert tree_leaves([Box((1, 2))]) == [1, 2]
    assert tree_map(str, Box(1)).value == "1"
    with pytest.raises(ValueError, match="already registered"):
        pytree.register_pytree_node(Box, lambda b: ([], None), lambda c, _: None)


def test_fields_of_a_dataclass_can_be_left_out(monkeypatch):
    monkeypatch.setattr(pytree, "SUPPORTED_NODES", dict(pytree.SUPPORTED_NODES))

    @dataclasses.dataclass
    class Options:
        value: object
        note: str = "none"

    pytree.register_dataclass(Options, drop_field_names=["note"])
    assert tree_leaves(Options(1, "kept out")) == [1]
    assert tree_map(str, Options(1, "kept out")) == Options("1")
    with pytest.raises(ValueError, match="not a dataclass"):
        pytree.register_dataclass(int)


def test_the_name_that_pytorch_programs_import():
    assert rd.utils._pytree is pytree
