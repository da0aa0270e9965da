"""Rows of the profiler: what has one, forward and backward, and how they nest."""

import numpy as np
import pytest
import rederive as rd
from profiles import EVALUATE, assert_off, named, rows, small
from rederive.profiler import profile, record_function
from rederive.register import functions

F = rd.nn.functional


@pytest.fixture(autouse=True)
def _off_afterwards():
    yield
    assert_off()


def test_each_call_of_an_operator_is_a_row():
    x, y = small(), small()
    with profile() as prof:
        x * y
        x + y
        x * y
        rd.tanh(x)
    averages = {row.key: row.count for row in prof.key_averages()}
    assert averages == {"mul": 2, "add": 1, "tanh": 1}
    assert [e.name for e in prof.events()] == ["mul", "add", "mul", "tanh"]


def test_composite_operators_hold_what_they_call():
    x, y = small(), small()
    with profile() as prof:
        F.mse_loss(x, y)
        x @ y.t()
    assert rows(prof) == [
        {"mse_loss": ["squared_error", {"reduce_loss": ["mean"]}]},
        "t",
        {"matmul": ["mm"]},
    ]


def test_every_composite_operator_asks_for_its_row():
    """Found by the registry, so that a new one cannot be forgotten."""
    from rederive.generated.registry import OPERATORS

    composites = [op for op in OPERATORS if op.family == "composite"]
    assert len(composites) > 20
    for op in composites:
        assert "profiled" in functions[op.name].__code__.co_names, op.name


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("add_", lambda x: x.add_(1)),
        ("mul_", lambda x: x.__imul__(2)),
        ("copy_", lambda x: x.copy_(rd.zeros(4))),
        ("fill_", lambda x: x.fill_(2)),
        ("zero_", lambda x: x.zero_()),
        ("setitem", lambda x: x.__setitem__(0, 1.0)),
        ("clamp_", lambda x: x.clamp_(0, 1)),
    ],
)
def test_writing_in_place_is_a_row(name, write):
    x = small()
    before = x._version
    with profile(record_shapes=True) as prof:
        write(x)
    assert named(prof, name).input_shapes[0] == [3, 4]
    assert x._version == before + 1


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("zeros", lambda: rd.zeros(3, 4)),
        ("ones", lambda: rd.ones(3, 4)),
        ("full", lambda: rd.full((3, 4), 2.0)),
        ("empty", lambda: rd.empty(3, 4)),
        ("empty_strided", lambda: rd.empty_strided((3, 4), (4, 1))),
        ("arange", lambda: rd.arange(12.0)),
        ("linspace", lambda: rd.linspace(0, 1, 12)),
        ("eye", lambda: rd.eye(3, 4)),
        ("randn", lambda: rd.randn(3, 4)),
        ("rand_like", lambda: rd.rand_like(rd.ones(3, 4))),
        ("zeros_like", lambda: rd.zeros_like(rd.ones(3, 4))),
        ("new_zeros", lambda: rd.ones(1).new_zeros(3, 4)),
        ("normal", lambda: rd.normal(0.0, 1.0, (3, 4))),
        ("bernoulli", lambda: rd.bernoulli(rd.full((3, 4), 0.5))),
        ("tensor", lambda: rd.tensor([[1.0] * 4] * 3)),
        ("as_tensor", lambda: rd.as_tensor([1.0] * 12)),
        ("to", lambda: rd.ones(3, 4, dtype=rd.float64).to(rd.float32)),
        ("clone", lambda: rd.ones(3, 4).clone()),
    ],
)
def test_making_a_tensor_is_a_row_with_its_memory(name, make):
    with profile(profile_memory=True) as prof:
        kept = make()
    assert named(prof, name).self_cpu_memory_usage == 48
    assert kept.nbytes == 48


def test_multinomial_and_deepcopy_are_rows():
    import copy

    x = small()
    with profile() as prof:
        rd.multinomial(x, 2)
        copy.deepcopy(x)
    assert rows(prof) == ["multinomial", "deepcopy"]


def test_comparing_whole_tensors_is_a_row():
    x = small()
    with profile() as prof:
        assert rd.equal(x, x)
    assert rows(prof) == ["equal"]


def test_reading_by_index_shows_the_views_it_takes():
    x = small()
    with profile() as prof:
        x[0, 1:3]
        x[:, [0, 1]]
    assert rows(prof)[:2] == ["select", "slice"]
    assert rows(prof)[-1] == "index"


def test_an_operator_that_raises_has_a_row_and_leaves_the_profiler_usable():
    x = small()
    with profile() as prof:
        with pytest.raises(RuntimeError):
            x @ x
        x + x
    assert rows(prof) == [{"matmul": ["mm"]}, "add"]


def test_a_factory_that_raises_has_no_row_and_leaves_the_next_one_right():
    with profile(profile_memory=True) as prof:
        with pytest.raises(RuntimeError, match="negative dimension"):
            rd.zeros(-1)
        rd.ones(2)
    first = prof.events()[0]
    assert (first.name, first.cpu_memory_usage) == ("ones", 8)


def test_an_error_in_the_body_ends_the_profile():
    x = small()
    prof = profile()
    with pytest.raises(KeyError), prof, record_function("part"):
        x + x
        raise KeyError
    assert rows(prof) == [{"part": ["add"]}]


def test_overloads_have_the_public_name():
    x = small()
    with profile() as prof:
        x.max()
        x.max(1)
    assert rows(prof) == [{"max": ["amax"]}, "max"]


# --- the backward pass ----------------------------------------------------------------------------


def test_backward_rows_are_the_nodes_within_the_rows_of_the_engine():
    w = small(requires_grad=True)
    with profile() as prof:
        (w * 2).tanh().sum().backward()
    forward, backward = rows(prof)[:3], rows(prof)[3:]
    assert forward == ["mul", "tanh", "sum"]
    assert backward == [
        {EVALUATE + "SumBackward0": ["SumBackward0"]},
        {EVALUATE + "TanhBackward0": ["TanhBackward0"]},
        {EVALUATE + "MulBackward0": ["MulBackward0"]},
        {EVALUATE + "AccumulateGrad": ["AccumulateGrad"]},
    ]


def test_backward_rows_hold_the_operators_that_formulas_call():
    w = small(requires_grad=True)
    x = small()
    with profile(record_shapes=True) as prof:
        (x @ w.t()).sum().backward()
    node = named(prof, "MmBackward0")
    assert [c.name for c in node.cpu_children] == ["t", "mm"]
    assert node.input_shapes == [[3, 3]]
    assert node.forward_input_shapes == [[3, 4], [4, 3]]
    assert named(prof, EVALUATE + "MmBackward0").input_shapes == []
    assert named(prof, "AccumulateGrad").input_shapes == [[3, 4]]


def test_rows_of_one_node_share_its_number():
    w = small(requires_grad=True)
    with profile() as prof:
        loss = w.exp().sum()
        loss.backward()
    assert named(prof, "exp").sequence_nr == named(prof, "ExpBackward0").sequence_nr >= 0
    assert named(prof, "ExpBackward0").forward is named(prof, "exp")
    assert named(prof, "exp").forward is None
    assert (named(prof, "exp").scope, named(prof, "ExpBackward0").scope) == (0, 1)


def test_gradients_are_those_without_a_profiler():
    def gradient():
        w = rd.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        y = w * w
        (y.exp().sum() + (y @ w).tanh().sum()).backward()
        return w.grad

    expected = gradient()
    with profile(record_shapes=True, profile_memory=True, with_stack=True):
        found = gradient()
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_grad_has_no_row_for_leaves_and_backward_of_inputs_has():
    w, v = small(requires_grad=True), small(requires_grad=True)
    with profile() as prof:
        rd.autograd.grad((w * v).sum(), w)
    assert not [e for e in prof.events() if "AccumulateGrad" in e.name]
    with profile() as prof:
        (w * v).sum().backward(inputs=[w])
    assert len([e for e in prof.events() if e.name == "AccumulateGrad"]) == 1


def test_differentiable_backward_shows_its_operators():
    w = small(requires_grad=True)
    with profile() as prof:
        (g,) = rd.autograd.grad((w * w).sum(), w, create_graph=True)
        g.sum().backward()
    assert "mul" in [c.name for c in named(prof, "MulBackward0").cpu_children]


def test_custom_functions_have_rows_forward_and_backward():
    class Cube(rd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x * x * grad

    w = small(requires_grad=True)
    with profile(record_shapes=True) as prof:
        Cube.apply(w).sum().backward()
    assert rows(prof)[0] == {"Cube": ["mul", "mul"]}
    assert named(prof, "Cube").input_shapes == [[3, 4]]
    assert [c.name for c in named(prof, "CubeBackward").cpu_children] == ["mul"] * 3


def test_hooks_run_within_the_rows_of_the_engine():
    w = small(requires_grad=True)
    y = w.exp()
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_hook(lambda gs, outs: None)
    w.register_hook(lambda g: g + 1)
    with profile() as prof:
        y.sum().backward()
    assert {EVALUATE + "ExpBackward0": ["mul", "ExpBackward0"]} in rows(prof)
    assert named(prof, "add").cpu_parent.name in (
        EVALUATE + "ExpBackward0",
        EVALUATE + "AccumulateGrad",
    )


def test_an_error_in_a_backward_pass_closes_its_rows():
    w = small(requires_grad=True)
    y = w.exp()

    def fail(grad):
        raise KeyError

    y.register_hook(fail)
    with profile() as prof:
        with pytest.raises(KeyError):
            y.sum().backward()
        w + 1
    assert rows(prof)[-1] == "add"


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_other_modes_work_within_a_profile():
    w = small(requires_grad=True)
    double = rd.autograd.graph.saved_tensors_hooks(lambda t: t + t, lambda t: t / 2)
    with profile() as prof:
        with rd.autograd.detect_anomaly(), double:
            y = w * 2 * w
        y.sum().backward()
        with rd.inference_mode():
            w * w
    assert rows(prof)[0] == "mul"
    assert rows(prof)[1] == {"mul": ["add", "add"]}
    assert {EVALUATE + "MulBackward0": ["div", "div", "MulBackward0"]} in rows(prof)
    assert rows(prof)[-1] == "mul"
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 4), 4.0))


def test_forward_mode_is_profiled_too():
    with profile() as prof, rd.autograd.forward_ad.dual_level():
        dual = rd.autograd.forward_ad.make_dual(small(), small())
        tangent = rd.autograd.forward_ad.unpack_dual(dual.exp()).tangent
    assert [c.name for c in named(prof, "exp").cpu_children] == ["mul"]
    assert tangent is not None


# --- record_function ------------------------------------------------------------------------------


def test_record_function_nests():
    x = small()
    with profile() as prof, record_function("outer"):
        with record_function("inner", "a remark") as given:
            x + x
        x * x
    assert rows(prof) == [{"outer": [{"inner": ["add"]}, "mul"]}]
    assert isinstance(given, record_function)
    assert named(prof, "inner").is_user_annotation
    assert not named(prof, "mul").is_user_annotation
    assert named(prof, "inner").scope == 7


def test_record_function_decorates_also_functions_that_call_themselves():
    @record_function("down")
    def down(n):
        return down(n - 1) if n else small()

    with profile() as prof:
        assert down(1).shape == (3, 4)
    assert rows(prof) == [{"down": [{"down": ["ones"]}]}]
    assert down.__name__ == "down"


def test_record_function_can_be_entered_again():
    part = record_function("part")
    with profile() as prof:
        for _ in range(2):
            with part:
                small()
        with part, part:
            small()
    assert rows(prof) == [{"part": ["ones"]}] * 2 + [{"part": [{"part": ["ones"]}]}]


def test_record_function_does_nothing_where_nobody_profiles():
    with record_function("x"):
        small()
    with record_function("early"), profile() as prof:
        small()
    assert rows(prof) == ["ones"]
    prof = profile()
    with record_function("early"):
        prof.start()
        late = record_function("late")
        late.__enter__()
        small()
        prof.stop()
        late.__exit__(None, None, None)
    assert rows(prof) == [{"late": ["ones"]}]


@pytest.mark.parametrize("arguments", [(3,), ("a", 3)])
def test_record_function_takes_text_only(arguments):
    with pytest.raises(RuntimeError, match="expected a value of type 'str'"):
        record_function(*arguments).__enter__()


def test_rows_that_end_out_of_order_do_not_spoil_the_others():
    first, second = record_function("first"), record_function("second")
    with profile() as prof:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        small()
    assert rows(prof) == [{"first": ["second"]}, "ones"]
