"""Hooks of every module, and results that are pickled."""

import copy
import pickle

import pytest
import rederive as torch
from rederive import nn
from rederive.nn.modules import module as hooks


def test_hooks_of_every_module_run_before_its_own_and_until_removed():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    seen = []
    model[1].register_forward_hook(lambda module, args, out: seen.append("own"))
    plain = nn.Module.__call__
    handles = [
        hooks.register_module_forward_pre_hook(
            lambda module, args: seen.append(f"before {type(module).__name__}")
        ),
        hooks.register_module_forward_hook(
            lambda module, args, out: seen.append(f"after {type(module).__name__}")
        ),
    ]
    model(torch.ones(2))
    linear, relu = ["before Linear", "after Linear"], ["before ReLU", "after ReLU", "own"]
    assert seen == ["before Sequential", *linear, *relu, "after Sequential"]
    for handle in handles:
        handle.remove()
    seen.clear()
    model(torch.ones(2))
    assert seen == ["own"] and nn.Module.__call__ is plain


def test_forward_hooks_of_every_module_change_results_take_keywords_and_see_errors():
    seen = []

    def hook(module, args, kwargs, out):
        seen.append(sorted(kwargs))
        return None if out is None else out + 1

    handle = hooks.register_module_forward_hook(hook, with_kwargs=True, always_call=True)
    try:
        assert nn.Identity()(input=torch.ones(1)).item() == 2
        with pytest.raises(TypeError):
            nn.Identity()()
    finally:
        handle.remove()
    assert seen == [["input"], []]


def test_backward_hooks_of_every_module():
    seen = []
    handles = [
        hooks.register_module_full_backward_pre_hook(lambda module, out: seen.append("before")),
        hooks.register_module_full_backward_hook(
            lambda module, into, out: (into[0] * 3,) if seen.append("after") is None else None
        ),
    ]
    x = torch.ones(1, requires_grad=True)
    try:
        nn.Tanh()(x * 0).backward()
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["before", "after"]


@pytest.mark.parametrize("copied", [lambda r: pickle.loads(pickle.dumps(r)), copy.deepcopy])
def test_named_results_are_pickled(copied):
    result = torch.tensor([[1.0, 5.0], [7.0, 3.0]]).max(0)
    again = copied(result)
    assert type(again) is type(result) and repr(again) == repr(result)
    assert again.indices.tolist() == [1, 0]
