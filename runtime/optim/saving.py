"""The state of an optimizer as a dictionary, and back; pickling and copying optimizers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy

import numpy as np

from ..dtypes import float32
from ..factories import tensor
from ..tensor import Tensor


class Saved:
    """`state_dict`, `load_state_dict` and what pickle asks for."""

    def __getstate__(self):
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state):
        self.__dict__.update(state)
        if "_hooks" not in self.__dict__:
            self._no_hooks()
        self._add_hooks_to_step()
        self.defaults.setdefault("differentiable", False)

    def state_dict(self):
        """{"state": ..., "param_groups": ...} with a number in the place of each parameter.

        Parameters are numbered through all groups. The state itself is not copied.
        """
        for hook in list(self._hooks["state_dict_pre"].values()):
            hook(self)
        numbers = {}
        groups = []
        start = 0
        for group in self.param_groups:
            params = group["params"]
            for number, param in enumerate(params, start):
                numbers.setdefault(id(param), number)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in params]
            groups.append(packed)
            start += len(params)
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        return self._passed("state_dict_post", {"state": state, "param_groups": groups})

    def load_state_dict(self, state_dict):
        """Take over the state and the options that `state_dict` gave.

        Parameters are matched by their places, not by names. Tensors are converted to the dtypes
        of the parameters but else not copied; NumPy arrays and PyTorch's tensors become tensors.
        """
        state_dict = self._passed("load_state_dict_pre", state_dict.copy())
        groups, saved = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(g["params"]) != len(s["params"]) for g, s in zip(groups, saved, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        params = {}
        options = {}
        for group, given in zip(groups, saved, strict=True):
            params.update(zip(given["params"], group["params"], strict=True))
            options.update(dict.fromkeys(given["params"], given))
        state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                single = options[key].get("capturable") or options[key].get("fused")
                state[params[key]] = _fitted(value, params[key], single)
            else:
                state[key] = value
        for group, given in zip(groups, saved, strict=True):
            given["params"] = group["params"]
            if "param_names" in group:
                given.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in list(self._hooks["load_state_dict_post"].values()):
            hook(self)


def _fitted(value, param, single, key=None):
    """A value of the state with its tensors in the dtype of the parameter.

    single: the count of steps is float32; otherwise it keeps the dtype it has.
    """
    if not isinstance(value, Tensor) and hasattr(value, "__array__"):
        value = tensor(np.asarray(value).copy())
    if isinstance(value, Tensor):
        if key == "step":
            return value.to(float32) if single else value
        return value.to(param.dtype) if param.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _fitted(part, param, single, name) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return type(value)(_fitted(part, param, single) for part in value)
    return value


def steps_as_tensors(optimizer, dtype_of):
    """Make tensors of the counts of steps that older states keep as numbers."""
    for group in optimizer.param_groups:
        for param in group["params"]:
            state = optimizer.state.get(param)
            if state and not isinstance(state["step"], Tensor):
                state["step"] = tensor(float(state["step"]), dtype=dtype_of(group))
