"""What all optimizers share: groups, errors, state dictionaries, hooks, versions, printing."""

import copy
import pickle

import numpy as np
import pytest
import rederive as torch
from rederive import nn, optim

ALL = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.LBFGS]


def leaf(*values, dtype=torch.float32):
    return torch.tensor(list(values), dtype=dtype, requires_grad=True)


def with_grad(*values, grad=1.0, **options):
    param = leaf(*values, **options)
    param.grad = torch.full_like(param, grad)
    return param


# --- groups --------------------------------------------------------------------------------------


def test_repr_names_the_options_of_each_group():
    optimizer = optim.SGD([{"params": [leaf(1.0)], "lr": 0.5}, {"params": [leaf(2.0)]}], lr=0.1)
    lines = repr(optimizer).split("\n")
    assert lines[:3] == ["SGD (", "Parameter Group 0", "    dampening: 0"]
    assert "    lr: 0.5" in lines and "    lr: 0.1" in lines and lines[-1] == ")"


def test_groups_have_options_of_their_own():
    first, second = with_grad(1.0), with_grad(1.0)
    optimizer = optim.SGD([{"params": [first]}, {"params": second, "lr": 0.5}], lr=0.1)
    optimizer.step()
    assert (first.item(), second.item()) == pytest.approx((0.9, 0.5))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert optimizer.defaults["lr"] == 0.1


def test_named_parameters_are_kept_by_name():
    model = nn.Linear(2, 3)
    optimizer = optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][1] is model.bias
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [leaf(1.0)]})


def test_group_that_is_added_is_updated():
    first, second = with_grad(1.0), with_grad(1.0)
    optimizer = optim.SGD([first], lr=0.1)
    optimizer.add_param_group({"params": second, "lr": 0.2})
    optimizer.step()
    assert (first.item(), second.item()) == pytest.approx((0.9, 0.8))


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        (lambda: [], ValueError, "optimizer got an empty parameter list"),
        (lambda: leaf(1.0), TypeError, "should be an iterable of Tensors or dicts"),
        (lambda: [1.0], TypeError, "one of the params is float"),
        (lambda: [leaf(1.0) * 2], ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: [{"params": {leaf(1.0)}}], TypeError, "ordered collections"),
        (lambda: [{"params": [leaf(1.0)]}, [leaf(1.0)]], TypeError, "param_group must be a dict"),
        (lambda: [("a", leaf(1.0)), leaf(2.0)], ValueError, "Some param names are missing"),
        (lambda: [{"params": (p := leaf(1.0))}, {"params": p}], ValueError, "more than one"),
    ],
)
def test_wrong_parameters_raise(params, error, text):
    with pytest.raises(error, match=text):
        optim.SGD(params(), lr=0.1)


def test_required_option_must_be_given():
    from rederive.optim.optimizer import required

    with pytest.raises(ValueError, match="required optimization parameter lr"):
        optim.Optimizer([leaf(1.0)], {"lr": required})


def test_duplicate_parameters_warn():
    param = leaf(1.0)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([param, param], lr=0.1)


@pytest.mark.parametrize("kind", ALL)
def test_wrong_learning_rates_raise(kind):
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        kind([leaf(1.0)], lr=-1)
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        kind([leaf(1.0)], lr=torch.tensor([0.1, 0.1]))


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (optim.SGD, {"momentum": -1}, "Invalid momentum value: -1"),
        (optim.SGD, {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        (optim.SGD, {"nesterov": True}, "Nesterov momentum requires a momentum"),
        (optim.Adam, {"eps": -1}, "Invalid epsilon value: -1"),
        (optim.Adam, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        (optim.Adam, {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        (optim.Adam, {"betas": (0.9, torch.tensor(0.9))}, "both floats or both Tensors"),
        (optim.Adam, {"lr": torch.tensor(0.1), "foreach": True}, "lr as a Tensor is not supp"),
        (optim.AdamW, {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        (optim.RMSprop, {"alpha": -1}, "Invalid alpha value: -1"),
        (optim.RMSprop, {"momentum": -1}, "Invalid momentum value: -1"),
        (optim.Adagrad, {"lr_decay": -1}, "Invalid lr_decay value: -1"),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "Invalid initial_accumulator_value"),
        (optim.LBFGS, {}, "LBFGS doesn't support per-parameter options"),
    ],
)
def test_wrong_options_raise(kind, options, text):
    groups = [{"params": [leaf(1.0)]}, {"params": [leaf(1.0)]}]
    with pytest.raises(ValueError, match=text):
        kind(groups, **options)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad])
def test_variants_that_exclude_each_other_raise(kind):
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
        kind([leaf(1.0)], fused=True, foreach=True)
    with pytest.raises(RuntimeError, match="`fused` does not support `differentiable`"):
        kind([leaf(1.0)], fused=True, differentiable=True)
    with pytest.raises(NotImplementedError, match="differentiable=True is not supported"):
        kind([leaf(1.0)], differentiable=True)


@pytest.mark.parametrize("kind", [optim.Adam, optim.RMSprop])
def test_steps_cannot_be_captured(kind):
    optimizer = kind([with_grad(1.0)], capturable=True)
    with pytest.raises(AssertionError, match="capturable=True"):
        optimizer.step()


# --- steps ---------------------------------------------------------------------------------------


def test_step_returns_the_loss_and_records_while_it_is_computed():
    param = leaf(3.0)
    optimizer = optim.SGD([param], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 9
    assert param.item() == pytest.approx(2.4)
    assert optimizer.step() is None


def test_base_class_has_no_step():
    with pytest.raises(NotImplementedError):
        optim.Optimizer([leaf(1.0)], {}).step()


def test_parameters_without_gradient_are_left_alone():
    still, moved = leaf(1.0), with_grad(1.0)
    optimizer = optim.Adam([still, moved], lr=0.1)
    optimizer.step()
    assert still.item() == 1 and moved.item() == pytest.approx(0.9)
    assert list(optimizer.state) == [moved]


@pytest.mark.parametrize("kind", ALL[:5])
def test_a_step_counts_a_version_and_spoils_saved_values(kind):
    param = leaf(2.0, 3.0)
    loss = (param * param).sum()
    loss.backward(retain_graph=True)
    before = param._version
    kind([param], lr=0.1).step()
    assert param._version == before + 1
    assert param.requires_grad and param.is_leaf
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_zero_grad_takes_gradients_away_or_overwrites_them():
    param = with_grad(1.0)
    optimizer = optim.SGD([param], lr=0.1)
    grad = param.grad
    optimizer.zero_grad(set_to_none=False)
    assert param.grad is grad and grad.item() == 0
    optimizer.zero_grad()
    assert param.grad is None


def test_zero_grad_detaches_gradients_with_a_graph():
    param = leaf(2.0)
    (param**3).sum().backward(create_graph=True)
    optim.SGD([param]).zero_grad(set_to_none=False)
    assert param.grad.grad_fn is None and not param.grad.requires_grad


@pytest.mark.parametrize("kind", ALL[:5])
def test_any_layout_and_dtype_in_one_group(kind):
    """Transposed, sliced, 0-d, empty and float64 parameters go where dense ones go."""
    values = np.linspace(-1, 1, 12, dtype=np.float32)
    dense = torch.tensor(values.reshape(3, 4))
    odd = [
        torch.tensor(values.reshape(3, 4)).t().detach(),
        torch.tensor(np.repeat(values, 2).reshape(3, 8))[:, ::2].detach(),
        torch.tensor(values.reshape(3, 4), dtype=torch.float64),
        torch.tensor(values[2]),
        torch.empty(0),
    ]
    for param in (dense, *odd):
        param.requires_grad_()
    ours = kind(odd, lr=0.1)
    plain = kind([dense], lr=0.1)
    for _ in range(3):
        for param in (dense, *odd):
            param.grad = torch.tensor(np.cos(param.detach().numpy()), dtype=param.dtype)
        ours.step()
        plain.step()
    expected = dense.detach().numpy()
    for param, found in zip(odd, (expected.T, expected, expected, expected[0, 2]), strict=False):
        np.testing.assert_allclose(param.detach().numpy(), found, rtol=1e-6, atol=1e-7)
        assert param._version == 3


def test_parameter_that_repeats_memory_raises():
    param = torch.zeros(1).expand(3).detach().requires_grad_()
    param.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        optim.SGD([param]).step()


def test_state_that_does_not_fit_raises():
    param = with_grad(1.0, 2.0)
    optimizer = optim.SGD([param], momentum=0.9)
    optimizer.state[param]["momentum_buffer"] = torch.zeros(3)
    with pytest.raises(RuntimeError, match=r"the state of a parameter of shape \[2\]"):
        optimizer.step()
    optimizer = optim.Adam([param])
    optimizer.step()
    optimizer.state[param]["step"] = 1
    with pytest.raises(RuntimeError, match="must be a floating tensor"):
        optimizer.step()
    with pytest.raises(RuntimeError, match="floating point dtype, but got"):
        whole = torch.tensor([1])
        whole._grad = torch.tensor([1])
        optim.SGD([whole]).step()


@pytest.mark.parametrize("kind", ALL[:5])
def test_several_threads_compute_what_one_does(kind):
    sizes = [(300, 200), (7,), (1,), (70, 70)]
    generator = np.random.default_rng(3)
    values = [generator.normal(size=size).astype(np.float32) for size in sizes]
    grads = [generator.normal(size=size).astype(np.float32) for size in sizes]

    def run():
        params = [torch.tensor(value, requires_grad=True) for value in values]
        optimizer = kind(params, lr=0.1)
        for _ in range(2):
            for param, grad in zip(params, grads, strict=True):
                param.grad = torch.tensor(grad)
            optimizer.step()
        return [param.detach().numpy() for param in params]

    several = run()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = run()
    finally:
        torch.set_num_threads(threads)
    for left, right in zip(several, one, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


def test_repeated_parameter_is_updated_as_often():
    param = torch.ones(40000, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = optim.SGD([param, param], lr=0.25)
    param.grad = torch.ones(40000)
    optimizer.step()
    assert (param == 0.5).all()


def test_infinite_parameter_stays_infinite_without_weight_decay():
    param = with_grad(float("inf"))
    optim.SGD([param], lr=0.1).step()
    assert param.item() == float("inf")


def test_tensor_as_learning_rate():
    rate = torch.tensor(0.5)
    param = with_grad(1.0)
    optimizer = optim.SGD([param], lr=rate)
    optimizer.step()
    rate.fill_(0.25)
    optimizer.step()
    assert param.item() == 0.25


def test_nan_reaches_the_parameter():
    """Also through the maximum that amsgrad takes."""
    param = with_grad(1.0, 2.0)
    optimizer = optim.Adam([param], lr=0.1, amsgrad=True)
    optimizer.step()
    param.grad = torch.tensor([float("nan"), 1.0])
    optimizer.step()
    optimizer.step()
    assert param.isnan().tolist() == [True, False]


def test_kernels_find_the_memory_of_an_array():
    """They read it from the array object, whose layout NumPy publishes."""
    from rederive.optim import kernels

    array = np.arange(5.0)[2:]
    found = kernels._piece(array, np.uint64(id(array)), 0, 3)
    assert found.ctypes.data == array.ctypes.data and found.tolist() == [2, 3, 4]
    assert kernels._length(np.uint64(id(array))) == 3


# --- state ---------------------------------------------------------------------------------------


def trained(kind, **options):
    params = [with_grad(1.0, 2.0), with_grad(3.0)]
    optimizer = kind(params, **options)
    optimizer.step(lambda: torch.tensor(1.0))
    return optimizer


@pytest.mark.parametrize(
    ("kind", "options", "keys"),
    [
        (optim.SGD, {"momentum": 0.9}, ["momentum_buffer"]),
        (optim.Adam, {"amsgrad": True}, ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
        (optim.RMSprop, {}, ["step", "square_avg"]),
        (
            optim.RMSprop,
            {"momentum": 0.1, "centered": True},
            ["step", "square_avg", "momentum_buffer", "grad_avg"],
        ),
        (optim.Adagrad, {}, ["step", "sum"]),
    ],
)
def test_state_dict_has_the_keys_that_pytorch_has(kind, options, keys):
    state = trained(kind, **options).state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][0]) == keys
    assert state["param_groups"][0]["params"] == [0, 1]
    step = state["state"][0].get("step")
    assert step is None or (step.shape == () and step.dtype is torch.float32 and step.item() == 1)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("way", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_state_dict_goes_to_another_optimizer(kind, way):
    first = trained(kind, lr=0.3)
    second = kind([with_grad(1.0, 2.0), with_grad(3.0)])
    for mine, other in zip(
        first.param_groups[0]["params"], second.param_groups[0]["params"], strict=True
    ):
        other.data = mine.detach().clone()
    second.load_state_dict(way(first.state_dict()))
    assert second.param_groups[0]["lr"] == 0.3
    for optimizer in (first, second):
        optimizer.step(lambda: torch.tensor(1.0))
    for mine, other in zip(
        first.param_groups[0]["params"], second.param_groups[0]["params"], strict=True
    ):
        assert mine.tolist() == other.tolist()


def test_state_becomes_the_dtype_of_the_parameter_but_not_the_count():
    state = trained(optim.Adam).state_dict()
    optimizer = optim.Adam([leaf(1.0, 2.0, dtype=torch.float64), leaf(3.0, dtype=torch.float64)])
    optimizer.load_state_dict(state)
    found = optimizer.state[optimizer.param_groups[0]["params"][0]]
    assert found["exp_avg"].dtype is torch.float64 and found["step"].dtype is torch.float32


def test_arrays_and_numbers_become_tensors():
    state = trained(optim.Adam).state_dict()
    for values in state["state"].values():
        values.update({key: value.numpy() for key, value in values.items()})
        values["step"] = 1
    optimizer = optim.Adam([with_grad(1.0, 2.0), with_grad(3.0)])
    optimizer.load_state_dict(state)
    optimizer.step()
    found = optimizer.state_dict()["state"][1]
    assert found["step"].item() == 2 and found["exp_avg"].shape == (1,)


def test_state_that_does_not_match_the_groups_is_refused():
    state = trained(optim.SGD).state_dict()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.SGD([{"params": leaf(1.0)}, {"params": leaf(1.0)}]).load_state_dict(state)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optim.SGD([leaf(1.0)]).load_state_dict(state)


def test_optimizer_is_copied_and_pickled_with_its_parameters():
    optimizer = trained(optim.Adam)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        params = other.param_groups[0]["params"]
        assert (
            list(other.state) == params
            and params[0].tolist() == optimizer.param_groups[0]["params"][0].tolist()
        )
        params[0].grad = torch.ones(2)
        other.step()
        assert other.state[params[0]]["step"].item() == 2
    assert next(iter(optimizer.state.values()))["step"].item() == 1


def test_adamw_stays_decoupled_whatever_is_loaded():
    state = trained(optim.Adam).state_dict()
    optimizer = optim.AdamW([leaf(1.0, 2.0), leaf(3.0)])
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


# --- hooks ---------------------------------------------------------------------------------------


def test_step_hooks_run_around_the_step_and_may_change_its_arguments():
    calls = []
    optimizer = optim.SGD([with_grad(1.0)], lr=0.1)

    def before(given, args, kwargs):
        calls.append((given, args, kwargs))
        return (args[0], lambda: "loss"), {}

    handles = [
        optimizer.register_step_pre_hook(before),
        optimizer.register_step_post_hook(lambda *given: calls.append("after")),
        optim.optimizer.register_optimizer_step_pre_hook(lambda *given: calls.append("all")),
        optim.optimizer.register_optimizer_step_post_hook(lambda *given: calls.append("end")),
    ]
    assert optimizer.step() == "loss"
    assert calls == ["all", (optimizer, (optimizer,), {}), "after", "end"]
    for handle in handles:
        handle.remove()
    assert optimizer.step() is None and len(calls) == 4


def test_step_hook_that_returns_something_else_raises():
    optimizer = optim.SGD([with_grad(1.0)])
    optimizer.register_step_pre_hook(lambda *given: 1)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimizer.step()


def test_state_hooks_see_and_replace_states():
    seen = []
    optimizer = optim.SGD([leaf(1.0)], lr=0.1)
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    optimizer.register_state_dict_post_hook(lambda o, state: seen.append("first"), prepend=True)
    state = optimizer.state_dict()
    assert state["more"] == 1 and seen == ["before", "first"]

    def faster(optimizer, state):
        groups = [{**group, "lr": 0.7} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(faster)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(state)
    assert seen[-1] == 0.7 and state["param_groups"][0]["lr"] == 0.1


def test_own_optimizer_has_hooks_too():
    class Sign(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    param.add_(param.grad.sign(), alpha=-group["lr"])

    param = with_grad(1.0, grad=7.0)
    optimizer = Sign([param], lr=0.5)
    calls = []
    optimizer.register_step_post_hook(lambda *given: calls.append(given[0]))
    optimizer.step()
    assert param.item() == 0.5 and calls == [optimizer]


def test_profile_has_a_row_for_the_step():
    optimizer = optim.SGD([with_grad(1.0)])
    with torch.profiler.profile() as profile:
        optimizer.step()
        optimizer.zero_grad()
    names = [event.key for event in profile.key_averages()]
    assert "Optimizer.step#SGD.step" in names
    assert "Optimizer.zero_grad#SGD.zero_grad" in names


def test_inference_parameter_cannot_be_updated_outside():
    with torch.inference_mode():
        param = torch.ones(2)
    param._grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        optim.SGD([param]).step()
