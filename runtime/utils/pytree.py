"""Nested containers as a list of leaves and a structure: dicts, lists, tuples, dataclasses, ...

A leaf is everything that is not a registered container, `None` too. Dictionaries keep the order
of their keys. An instance of a dataclass is a container of its fields.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

from ..geometry import Size

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "register_dataclass",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any


class NodeDef(NamedTuple):
    """How containers of one type are taken apart and put together."""

    flatten_fn: Callable
    unflatten_fn: Callable


SUPPORTED_NODES = {}
"""Container type -> NodeDef."""


def register_pytree_node(cls, flatten_fn, unflatten_fn, *, serialized_type_name=None, **options):
    """Make instances of `cls` containers.

    flatten_fn(x) gives (list of children, context), unflatten_fn(children, context) gives x. The
    contexts of two containers are equal where their structures are. ValueError if `cls` is known.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)


def register_dataclass(cls, *, field_names=None, drop_field_names=None, **options):
    """Choose the fields of a dataclass that are children; without this they are all its fields.

    drop_field_names: fields left out, which get their default when the container is rebuilt.
    """
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"register_dataclass: {cls} is not a dataclass")
    if field_names is None:
        dropped = set(drop_field_names or ())
        field_names = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in dropped]
    names = tuple(field_names)

    def flatten(value):
        return [getattr(value, name) for name in names], names

    def unflatten(children, context):
        return cls(**dict(zip(context, children, strict=True)))

    register_pytree_node(cls, flatten, unflatten)


class TreeSpec:
    """The structure of a tree: the type of its container, a context, and the children's specs."""

    __slots__ = ("children_specs", "context", "num_leaves", "type")

    def __init__(self, type, context, children_specs):
        self.type = type
        self.context = context
        self.children_specs = children_specs
        self.num_leaves = sum(child.num_leaves for child in children_specs)

    @property
    def num_children(self):
        """How many children the container has."""
        return len(self.children_specs)

    def is_leaf(self):
        """Whether this is the structure of a single leaf."""
        return self.type is None

    def unflatten(self, leaves):
        """The tree with these leaves."""
        return tree_unflatten(leaves, self)

    def flatten_up_to(self, tree):
        """The parts of `tree` at the places of this structure's leaves."""
        found = []
        _flatten_up_to(self, tree, found)
        return found

    def __eq__(self, other):
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (
            self.type is other.type
            and self.context == other.context
            and self.children_specs == other.children_specs
        )

    def __hash__(self):
        return hash((self.type, self.num_leaves, tuple(self.children_specs)))

    def __str__(self):
        return repr(tree_unflatten([_STAR] * self.num_leaves, self))

    def __repr__(self):
        return f"TreeSpec({self})"


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    __slots__ = ()

    def __init__(self):
        self.type, self.context, self.children_specs, self.num_leaves = None, None, [], 1

    def __repr__(self):
        return "*"


class _Star:
    def __repr__(self):
        return "*"


_STAR = _Star()
_LEAF = LeafSpec()


# --- containers ----------------------------------------------------------------------------------


def _named_tuple(value):
    cls = type(value)
    return isinstance(value, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _flatten_fields(value):
    return [getattr(value, f.name) for f in dataclasses.fields(value)], type(value)


def _unflatten_fields(children, cls):
    """A dataclass without calling its constructor, which may check or change what it is given."""
    value = object.__new__(cls)
    for field, child in zip(dataclasses.fields(cls), children, strict=True):
        object.__setattr__(value, field.name, child)
    return value


def _unflatten_named(children, cls):
    make = getattr(cls, "_make", cls)
    return make(children)


_NAMED_TUPLE = NodeDef(lambda t: (list(t), type(t)), _unflatten_named)
_DATACLASS = NodeDef(_flatten_fields, _unflatten_fields)


def _mapping(build):
    return NodeDef(
        lambda d: (list(d.values()), list(d)),
        lambda children, keys: build(zip(keys, children, strict=True)),
    )


SUPPORTED_NODES |= {
    list: NodeDef(lambda x: (x, None), lambda children, _: list(children)),
    tuple: NodeDef(lambda x: (list(x), None), lambda children, _: tuple(children)),
    Size: NodeDef(lambda x: (list(x), None), lambda children, _: Size(children)),
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
    defaultdict: NodeDef(
        lambda d: (list(d.values()), [d.default_factory, list(d)]),
        lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
    ),
    deque: NodeDef(lambda d: (list(d), d.maxlen), deque),
    namedtuple: _NAMED_TUPLE,
}
_MAPPINGS = (dict, OrderedDict, defaultdict)


def _node_of(value):
    """The container type that stands in a spec for `value`, and its NodeDef; None for a leaf."""
    cls = type(value)
    node = SUPPORTED_NODES.get(cls)
    if node is not None:
        return cls, node
    if _named_tuple(value):
        return namedtuple, _NAMED_TUPLE
    if dataclasses.is_dataclass(cls):
        return cls, _DATACLASS
    return None, None


# --- flat and back -------------------------------------------------------------------------------


def tree_flatten(tree, is_leaf=None):
    """(list of leaves, TreeSpec) of a tree.

    is_leaf: a function that says of a container that it is to be a leaf.
    """
    leaves = []
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree, leaves, is_leaf):
    cls, node = (None, None) if is_leaf is not None and is_leaf(tree) else _node_of(tree)
    if node is None:
        leaves.append(tree)
        return _LEAF
    children, context = node.flatten_fn(tree)
    return TreeSpec(cls, context, [_flatten(child, leaves, is_leaf) for child in children])


def tree_unflatten(leaves, treespec):
    """The tree of this structure with these leaves; ValueError if their number is wrong."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but "
            f"got item of type {type(treespec)}."
        )
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    return _unflatten(treespec, iter(leaves))


def _unflatten(spec, leaves):
    if spec.type is None:
        return next(leaves)
    node = SUPPORTED_NODES.get(spec.type, _DATACLASS)
    return node.unflatten_fn([_unflatten(s, leaves) for s in spec.children_specs], spec.context)


def tree_iter(tree, is_leaf=None):
    """An iterator over the leaves."""
    return iter(tree_flatten(tree, is_leaf)[0])


def tree_leaves(tree, is_leaf=None):
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree, is_leaf=None):
    """The TreeSpec."""
    return tree_flatten(tree, is_leaf)[1]


def _flatten_up_to(spec, tree, found):
    if spec.type is None:
        found.append(tree)
        return
    cls, node = _node_of(tree)
    mappings = cls in _MAPPINGS and spec.type in _MAPPINGS
    if cls is not spec.type and not mappings:
        raise ValueError(
            f"Node type mismatch; expected {spec.type}, but got {type(tree)}: the tree must have "
            f"the structure {spec}."
        )
    children, context = node.flatten_fn(tree)
    if len(children) != spec.num_children:
        raise ValueError(
            f"Node arity mismatch; expected {spec.num_children}, but got {len(children)}: the "
            f"tree must have the structure {spec}."
        )
    if mappings:
        keys = spec.context[1] if spec.type is defaultdict else spec.context
        if set(keys) != set(tree):
            raise ValueError(f"Node keys mismatch; expected {list(keys)}, but got {list(tree)}.")
        # the keys may come in another order
        children = [tree[key] for key in keys]
    elif context != spec.context:
        raise ValueError(
            f"Node context mismatch for node type {spec.type}: expected {spec.context}, but "
            f"got {context}."
        )
    for child_spec, child in zip(spec.children_specs, children, strict=True):
        _flatten_up_to(child_spec, child, found)


# --- functions of leaves -------------------------------------------------------------------------


def tree_map(func, tree, *rests, is_leaf=None):
    """The tree of `func(leaf, ...)`, with the leaves of `rests` at the same places as others.

    ValueError if a tree of `rests` does not have the structure of `tree`; it may go on below
    the leaves of that.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    return tree_unflatten(map(func, *columns), spec)


def tree_map_(func, tree, *rests, is_leaf=None):
    """Call `func` as `tree_map` does, for what it does; returns `tree`."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for row in zip(leaves, *(spec.flatten_up_to(rest) for rest in rests), strict=True):
        func(*row)
    return tree


def tree_map_only(type_or_predicate, func, tree, is_leaf=None):
    """`tree_map` of the leaves of one type (or several, or of which a function says so)."""
    chosen = type_or_predicate
    if isinstance(chosen, type | tuple):

        def chosen(leaf):
            return isinstance(leaf, type_or_predicate)

    return tree_map(lambda leaf: func(leaf) if chosen(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_all(predicate, tree, is_leaf=None):
    """Whether the predicate holds for all leaves."""
    return all(map(predicate, tree_iter(tree, is_leaf)))


def tree_any(predicate, tree, is_leaf=None):
    """Whether the predicate holds for a leaf."""
    return any(map(predicate, tree_iter(tree, is_leaf)))
