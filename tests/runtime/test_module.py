"""nn.Module and its parameters; programs/modules.py and module_hooks.py compare with PyTorch."""

import copy
import gc
import math
import pickle
import weakref

import numpy as np
import pytest
import rederive as rd
from rederive import nn
from rederive.tensor import Tensor


class Scale(nn.Module):
    def __init__(self, n=2):
        super().__init__()
        self.factor = nn.Parameter(rd.ones(n))
        self.register_buffer("calls", rd.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x * self.factor


class Named(nn.Parameter):
    """A class of its own, whose instances can have attributes."""


# --- parameters ----------------------------------------------------------------------------------


def test_a_parameter_is_a_marked_tensor():
    p = nn.Parameter(rd.ones(2))
    assert isinstance(p, nn.Parameter) and isinstance(p, Tensor)
    assert type(p) is Tensor, "so that operators take the straight way"
    assert p.requires_grad and p.is_leaf
    for other in (rd.ones(2), p.detach(), p.data, p * 1, p.clone(), p[0], None, 3):
        assert not isinstance(other, nn.Parameter)
    assert not isinstance(p, nn.Buffer)
    assert issubclass(nn.Parameter, Tensor)


def test_a_parameter_shares_memory_and_leaves_the_graph():
    source = rd.ones(2, requires_grad=True) * 2
    p = nn.Parameter(source)
    assert p.is_leaf and p.data_ptr() == source.data_ptr()
    assert nn.Parameter(p) is not p
    assert not nn.Parameter(rd.ones(2), requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)


def test_a_derived_class_keeps_its_type():
    p = Named(rd.ones(2))
    p.note = "kept"
    assert type(p) is Named and isinstance(p, nn.Parameter) and p.requires_grad
    twin = copy.deepcopy(p)
    assert type(twin) is Named and isinstance(twin, nn.Parameter)
    assert vars(twin) == {}, "as in PyTorch"
    assert pickle.loads(pickle.dumps(p)).note == "kept"
    assert not isinstance(nn.Parameter(rd.ones(1)), Named)
    module = nn.Module()
    module.p = p
    assert list(module._parameters) == ["p"]
    (p * 3).sum().backward()
    assert p.grad.tolist() == [3, 3]


@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, copy.copy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_are_parameters_too(twin_of):
    p = nn.Parameter(rd.tensor([1.0, 2.0]), requires_grad=False)
    twin = twin_of(p)
    assert isinstance(twin, nn.Parameter) and not twin.requires_grad and twin.tolist() == [1, 2]
    buffer = twin_of(nn.Buffer(rd.ones(1), persistent=False))
    assert isinstance(buffer, nn.Buffer) and not isinstance(buffer, nn.Parameter)


def test_printing():
    assert repr(nn.Parameter(rd.ones(2))) == (
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )
    assert repr(nn.Buffer(rd.ones(2))) == "tensor([1., 1.])"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.Parameter([1.0]), AttributeError),
        (lambda: nn.Parameter(rd.tensor([1])), RuntimeError),
        (lambda: nn.Buffer(3), AttributeError),
    ],
)
def test_what_cannot_be_a_parameter(make, error):
    with pytest.raises(error):
        make()


# --- modules -------------------------------------------------------------------------------------


def test_training_a_small_network():
    rd.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 16), nn.Identity(), nn.Linear(16, 1))
    x = rd.linspace(-1, 1, 32).reshape(-1, 1)
    y = 3 * x - 1
    losses = []
    for _ in range(60):
        net.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        with rd.no_grad():
            for p in net.parameters():
                p -= 0.05 * p.grad
        losses.append(loss.item())
    assert losses[-1] < 1e-2 * losses[0]


def test_linear_takes_any_number_of_dimensions():
    linear = nn.Linear(3, 2)
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    for shape in ((3,), (4, 3), (2, 4, 3), (0, 3)):
        x = rd.randn(shape)
        linear.zero_grad()
        out = linear(x)
        np.testing.assert_allclose(
            out.detach().numpy(), x.numpy() @ weight.T + bias, rtol=1e-5, atol=1e-6
        )
        out.sum().backward()
        rows = x.numpy().reshape(-1, 3)
        np.testing.assert_allclose(
            linear.weight.grad.numpy(), np.stack([rows.sum(0)] * 2), rtol=1e-5, atol=1e-6
        )


def test_starting_values_of_linear():
    rd.manual_seed(0)
    linear = nn.Linear(100, 500)
    for p in linear.parameters():
        values = p.detach().numpy()
        assert np.abs(values).max() <= 0.1
        assert values.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


def test_attributes_go_where_they_belong():
    module = Scale()
    module.inner = nn.Linear(2, 2)
    module.note = "plain"
    assert set(module._parameters) == {"factor"}
    assert set(module._buffers) == {"calls"}
    assert set(module._modules) == {"inner"}
    assert "note" in vars(module)
    # another kind of value moves the name
    module.note = nn.Parameter(rd.ones(1))
    assert "note" in module._parameters and "note" not in vars(module)
    module.note = nn.Identity()
    assert "note" in module._modules and "note" not in module._parameters
    module.extra = nn.Buffer(rd.ones(1), persistent=False)
    assert "extra" in module._buffers and "extra" not in module.state_dict()
    del module.extra
    assert not module._non_persistent_buffers_set
    with pytest.raises(AttributeError, match="'Scale' object has no attribute 'extra'"):
        module.extra  # noqa: B018


def test_a_property_may_raise_its_own_error():
    class Odd(nn.Module):
        @property
        def broken(self):
            return self.missing

    with pytest.raises(AttributeError):
        Odd().broken  # noqa: B018


def test_in_place_buffers_keep_counting_through_a_deepcopy():
    module = Scale()
    module(rd.ones(2))
    twin = copy.deepcopy(module)
    twin(rd.ones(2))
    assert module.calls.item() == 1 and twin.calls.item() == 2
    assert twin.factor is not module.factor


class Renamed(nn.Linear):
    def __setstate__(self, state):
        super().__setstate__({**state, "restored": True})


def test_a_module_may_change_its_pickled_state():
    twin = pickle.loads(pickle.dumps(Renamed(2, 1)))
    assert twin.restored and isinstance(twin.weight, nn.Parameter)


def test_an_encoder_layer_is_pickled_with_its_activation():
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu")
    twin = pickle.loads(pickle.dumps(layer))
    assert twin.activation is nn.functional.gelu
    assert twin.norm1.weight.tolist() == layer.norm1.weight.tolist()


def test_conversion_keeps_the_parameter_objects():
    module = Scale()
    before = module.factor
    module.factor.grad = rd.ones(2)
    module.double()
    assert module.factor is before and before.dtype is rd.float64
    assert before.grad.dtype is rd.float64 and module.calls.dtype is rd.float64
    module.register_buffer("count", rd.tensor([1]))
    assert module.float().count.dtype is rd.int64


def test_state_shares_memory_and_loading_copies():
    module, other = Scale(), Scale()
    state = module.state_dict()
    assert state["factor"].data_ptr() == module.factor.data_ptr()
    assert not state["factor"].requires_grad
    with rd.no_grad():
        module.factor.mul_(3)
    other.load_state_dict(state)
    assert other.factor.tolist() == [3, 3] and other.factor.requires_grad
    assert other.factor.data_ptr() != module.factor.data_ptr()
    other.load_state_dict(pickle.loads(pickle.dumps(state)), assign=True)
    assert isinstance(other.factor, nn.Parameter)


def test_loading_reports_every_problem_at_once():
    with pytest.raises(RuntimeError) as raised:
        nn.Linear(2, 1).load_state_dict({"weight": rd.ones(3, 3), "other": rd.ones(1)})
    assert str(raised.value) == (
        "Error(s) in loading state_dict for Linear:\n"
        '\tMissing key(s) in state_dict: "bias". \n'
        '\tUnexpected key(s) in state_dict: "other". \n'
        "\tsize mismatch for weight: copying a param with shape rederive.Size([3, 3]) from "
        "checkpoint, the shape in current model is rederive.Size([1, 2])."
    )


def state_of(module):
    return {
        name: (value, value.tolist()) for name, value in module.state_dict(keep_vars=True).items()
    }


def wrong_states(good):
    yield "missing", {k: v for k, v in good.items() if k != "1.bias"}
    yield "unexpected", {**good, "other": rd.ones(1)}
    yield "size mismatch", {**good, "1.weight": rd.ones(3, 3)}
    yield "expected rederive.Tensor", {**good, "1.weight": [1.0]}
    yield "hook", good


@pytest.mark.parametrize("assign", [False, True])
def test_a_failed_load_leaves_the_module_as_it_was(assign):
    module = nn.Sequential(Scale(), nn.Linear(2, 2))
    good = {name: value + 1 for name, value in module.state_dict().items()}
    before = state_of(module)

    def fails(module, keys):
        raise KeyError("hook")

    for problem, state in wrong_states(good):
        if problem == "hook":
            module[1].register_load_state_dict_post_hook(fails)
        with pytest.raises((RuntimeError, KeyError), match=f"(?i){problem}"):
            module.load_state_dict(state, assign=assign)
        for name, (value, values) in state_of(module).items():
            assert value is before[name][0] and values == before[name][1], (problem, name)


def test_a_load_without_strict_still_undoes_what_does_not_fit():
    module = nn.Linear(2, 2)
    before = state_of(module)
    with pytest.raises(RuntimeError, match="size mismatch"):
        module.load_state_dict({"weight": rd.ones(2, 2), "bias": rd.ones(3)}, strict=False)
    assert state_of(module)["weight"][1] == before["weight"][1]


def test_a_plain_parameter_takes_attributes():
    p = nn.Parameter(rd.ones(2))
    p.note = [1]
    assert vars(p) == {"note": [1]} and vars(p.detach()) == {}
    with pytest.raises(AttributeError):
        p.other  # noqa: B018
    p.grad = rd.ones(2)
    assert copy.deepcopy(p).grad is None and vars(copy.deepcopy(p)) == {}
    t = rd.ones(2)
    t.note = [1]
    twin = copy.deepcopy(t)
    assert twin.note == [1] and twin.note is not t.note


def test_shared_modules_and_parameters_count_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    net.append(net[0])
    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.named_modules(remove_duplicate=False))) == 4


def test_printing_of_nested_modules():
    net = nn.Sequential(nn.Linear(2, 3), nn.ModuleList([nn.Identity(), nn.Identity()]))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): ModuleList(\n"
        "    (0-1): 2 x Identity()\n"
        "  )\n"
        ")"
    )


def test_forgetting_to_call_init_is_explained():
    class Forgets(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgets()(1)


def test_an_attribute_error_of_forward_is_its_own():
    class Wrong(nn.Module):
        def forward(self, x):
            return {}["_forward_hooks"]

    module = Wrong()
    with pytest.raises(KeyError, match="_forward_hooks"):
        module(1)


def test_module_takes_no_arguments():
    with pytest.raises(TypeError, match="takes none"):
        nn.Module(3)


def test_modules_and_their_graphs_are_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        net[0].register_full_backward_hook(lambda *args: None)
        weight = weakref.ref(net[0].weight)
        net(rd.ones(2, requires_grad=True)).sum().backward()
        del net
        assert weight() is None
    finally:
        gc.enable()


# --- hooks ---------------------------------------------------------------------------------------


def test_hooks_that_are_removed_are_not_called():
    log, module = [], nn.Identity()
    with module.register_forward_hook(lambda *args: log.append("after")):
        module(rd.ones(1))
    module(rd.ones(1))
    assert log == ["after"]


def test_backward_hooks_without_gradients_of_inputs_warn():
    module = nn.Linear(2, 1)
    log = []
    module.register_full_backward_hook(lambda m, gi, go: log.append((gi, go[0].tolist())))
    out = module(rd.ones(2))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        out.sum().backward()
    assert log == [((None,), [1.0])]
    module.register_full_backward_hook(lambda m, gi, go: (rd.ones(2),))
    with (
        pytest.warns(UserWarning),
        pytest.raises(RuntimeError, match="where no input requires gradient"),
    ):
        module(rd.ones(2)).sum().backward()


def test_backward_hooks_see_in_place_changes_of_the_output():
    module = nn.Linear(2, 2)
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(go[0].tolist()))
    out = module(rd.ones(2, requires_grad=True))
    out.mul_(3)
    out.sum().backward()
    assert seen == [[3.0, 3.0]]


def test_backward_hooks_are_called_for_each_call():
    module, log = nn.Linear(2, 2), []
    module.register_full_backward_hook(lambda m, gi, go: log.append(go[0].sum().item()))
    x = rd.ones(2, requires_grad=True)
    (module(x).sum() + 2 * module(x).sum()).backward()
    assert log == [4.0, 2.0]


def test_tangents_pass_through_backward_hooks():
    module = nn.Linear(2, 1)
    module.register_full_backward_hook(lambda *args: None)
    x = rd.ones(2, requires_grad=True)
    moved = rd.func.jvp(module, (x,), (rd.tensor([1.0, 0.0]),))[1]
    assert moved.item() == module.weight[0, 0].item()


def test_results_that_are_no_tensors_pass():
    class Dict(nn.Module):
        def forward(self, x):
            return {"x": x}

    module = Dict()
    module.register_full_backward_hook(lambda *args: None)
    x = rd.ones(1, requires_grad=True)
    module(x)["x"].sum().backward()
    assert x.grad.tolist() == [1]


def test_errors_of_hooks_that_are_always_called_become_warnings():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("forward")

    module = Fails()

    def hook(module, args, out):
        raise KeyError("hook")

    module.register_forward_hook(hook, always_call=True)
    with pytest.warns(UserWarning, match="silenced"), pytest.raises(ValueError, match="forward"):
        module(1)
