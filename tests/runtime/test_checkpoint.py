"""Checkpointed calls: same gradients, less memory, and errors where the repetition differs."""

import contextlib
import gc
import threading
import tracemalloc
import weakref

import pytest
import rederive as rd
from rederive.utils import checkpoint as checkpointing
from rederive.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)

BOTH = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "hooks"])


def leaf(values):
    return rd.tensor(values, dtype=rd.float64, requires_grad=True)


def layer(t):
    return (t * t).exp().sin() * t.tanh()


def gradient_of(function, x):
    x.grad = None
    function(x).sum().backward()
    return x.grad.tolist()


# --- gradients -----------------------------------------------------------------------------------


@BOTH
def test_gradients_are_those_of_the_call_bit_for_bit(reentrant):
    x, w = leaf([0.3, -1.2, 2.0]), leaf([1.5, 0.5, -0.25])

    def model(t, wrapped):
        for _ in range(3):
            t = wrapped(lambda a: layer(a * w), t)
        return t

    plain = gradient_of(lambda t: model(t, lambda f, a: f(a)), x)
    plain_w, w.grad = w.grad.tolist(), None
    kept = gradient_of(
        lambda t: model(t, lambda f, a: checkpoint(f, a, use_reentrant=reentrant)), x
    )
    assert kept == plain
    assert w.grad.tolist() == plain_w


@BOTH
def test_sequential_gives_the_gradients_of_all_functions(reentrant):
    x = leaf([0.3, -0.2])
    functions = [layer, rd.sin, layer, rd.tanh, rd.exp]
    plain = gradient_of(lambda t: functions[4](functions[3](layer(rd.sin(layer(t))))), x)
    for segments in (1, 2, 3, 5):
        result = gradient_of(
            lambda t, n=segments: checkpoint_sequential(functions, n, t, use_reentrant=reentrant), x
        )
        assert result == plain


def test_sequential_takes_the_children_of_a_module():
    class Pair:
        def children(self):
            return iter([rd.sin, rd.exp])

    x = leaf([0.5])
    y = checkpoint_sequential(Pair(), 2, x, use_reentrant=False)
    assert y.item() == x.sin().exp().item()


@pytest.mark.parametrize("segments", [0, 4])
def test_sequential_needs_a_function_for_each_segment(segments):
    with pytest.raises(ValueError, match=f"got {segments} segments for 3 functions"):
        checkpoint_sequential([rd.sin] * 3, segments, leaf([1.0]), use_reentrant=False)


@pytest.mark.parametrize(
    ("outer", "inner"), [(False, False), (True, True), (False, True), (True, False)]
)
@pytest.mark.filterwarnings("ignore:None of the inputs")  # inside a call without graph
def test_checkpoints_in_checkpoints(outer, inner):
    x = leaf([0.3, -0.2])

    def block(t):
        t = checkpoint(layer, t, use_reentrant=inner)
        return checkpoint(layer, t.sin(), use_reentrant=inner)

    plain = gradient_of(lambda t: layer(layer(layer(t).sin())), x)
    nested = gradient_of(
        lambda t: checkpoint(lambda a: block(layer(a)) * 1, t, use_reentrant=outer), x
    )
    want = gradient_of(lambda t: layer(layer(layer(t)).sin()) * 1, x)
    assert nested == want
    assert nested != plain


def test_binary_recursion_of_checkpoints():
    x = leaf([0.3, -0.2])

    def run(t, n):
        if n == 1:
            return layer(t)
        t = checkpoint(run, t, n // 2, use_reentrant=False)
        return checkpoint(run, t, n // 2, use_reentrant=False)

    def plain(t):
        for _ in range(16):
            t = layer(t)
        return t

    assert gradient_of(lambda t: run(t, 16), x) == gradient_of(plain, x)


def test_second_derivatives_pass_through_hooks():
    x = leaf([0.3, -0.2])

    def second(function):
        (first,) = rd.autograd.grad(function(x).sum(), x, create_graph=True)
        (again,) = rd.autograd.grad((first * first).sum(), x)
        return again.tolist()

    assert second(lambda t: checkpoint(layer, t, use_reentrant=False)) == second(layer)


def test_tensors_by_keyword_and_in_containers_get_gradients():
    a, b, c = leaf([2.0]), leaf([3.0]), leaf([5.0])
    y = checkpoint(lambda x, rest, y: x * rest[0] * y * y, a, [b], y=c, use_reentrant=False)
    y.backward()
    assert [t.grad.item() for t in (a, b, c)] == [75.0, 50.0, 60.0]


def test_several_outputs_of_which_some_are_used():
    x = leaf([0.3, -0.2])
    for reentrant in (True, False):
        first, count, second = checkpoint(
            lambda t: (layer(t), 7, t.exp()), x, use_reentrant=reentrant
        )
        x.grad = None
        second.sum().backward()
        assert count == 7
        assert x.grad.tolist() == x.exp().tolist()
        assert first.requires_grad


def test_saved_values_can_be_read_without_a_backward_pass():
    x = leaf([0.5])
    y = checkpoint(layer, x, use_reentrant=False)
    want = layer(x).grad_fn._saved_self.item()
    assert [y.grad_fn._saved_self.item() for _ in range(2)] == [want, want]


def test_hooks_outside_pack_the_arguments_of_the_call():
    x, packed = leaf([0.5, 0.25]), []

    def pack(t):
        packed.append(t.tolist())
        return t.detach().clone()

    with rd.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = checkpoint(layer, x * 2, use_reentrant=False)
    assert packed == [[1.0, 0.5]]
    y.sum().backward()
    assert x.grad.tolist() == gradient_of(lambda t: layer(t * 2), x)


# --- how often and how far -----------------------------------------------------------------------


def test_the_repetition_ends_with_the_last_tensor_that_is_needed():
    steps = []

    def work(t):
        for name in ("exp", "sin", "neg"):
            steps.append(name)
            t = getattr(t, name)()
        return t

    checkpoint(work, leaf([1.0]), use_reentrant=False).backward()
    assert steps[3:] == ["exp", "sin"]
    with set_checkpoint_early_stop(False):
        y = checkpoint(work, leaf([1.0]), use_reentrant=False)
    steps.clear()
    y.backward()
    assert steps == ["exp", "sin", "neg"]


def test_programs_cannot_swallow_the_end_of_the_repetition():
    def careless(t):
        with contextlib.suppress(Exception):
            t = t.exp()
        with contextlib.suppress(Exception):
            t = t.sin()
        return t

    x = leaf([0.5])
    plain = gradient_of(careless, x)
    assert gradient_of(lambda t: checkpoint(careless, t, use_reentrant=False), x) == plain


@BOTH
def test_each_backward_pass_repeats_the_call_once(reentrant):
    calls, x = [], leaf([0.5])

    def counted(t):
        calls.append(1)
        return layer(layer(t))

    y = checkpoint(counted, x, use_reentrant=reentrant)
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert len(calls) == 3
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    x.grad = x.grad / 3
    assert x.grad.item() == pytest.approx(gradient_of(lambda t: layer(layer(t)), x)[0])


@BOTH
def test_without_grad_mode_nothing_is_recorded(reentrant):
    with rd.no_grad():
        y = checkpoint(layer, leaf([1.0]), use_reentrant=reentrant)
    assert not y.requires_grad


def test_a_long_row_of_checkpoints_does_not_recurse():
    x = leaf([1.0])
    for reentrant in (True, False):
        t = x
        for _ in range(2000):
            t = checkpoint(rd.sin, t, use_reentrant=reentrant)
        t.backward()
    assert 0 < x.grad.item() < 1


def test_threads_checkpoint_at_the_same_time():
    results = {}

    def work(number):
        x = leaf([0.1 * number])
        for _ in range(30):
            gradient = gradient_of(lambda t: checkpoint(layer, t, use_reentrant=False), x)
        results[number] = gradient == gradient_of(layer, x)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), True)


# --- memory --------------------------------------------------------------------------------------

ELEMENTS = 1 << 15  # float64: 256 KiB an array


def heavy(t):
    return (t * WEIGHT).sin().exp()


WEIGHT = rd.full((ELEMENTS,), 0.5, dtype=rd.float64).requires_grad_()


def peak(run):
    """The most arrays of ELEMENTS numbers alive at once in forward and backward."""
    x = rd.ones(ELEMENTS, dtype=rd.float64).requires_grad_()
    run(x).sum().backward()  # compiles, and makes the gradients of the leaves
    gc.collect()
    tracemalloc.start()
    try:
        run(x).sum().backward()
        return tracemalloc.get_traced_memory()[1] / (8 * ELEMENTS)
    finally:
        tracemalloc.stop()


def plainly(n):
    def run(t):
        for _ in range(n):
            t = heavy(t)
        return t

    return run


def in_segments(n, segments, reentrant):
    part = plainly(n // segments)

    def run(t):
        for _ in range(segments):
            t = checkpoint(part, t, use_reentrant=reentrant)
        return t

    return run


def nested(n):
    def run(t):
        return halves(t, n)

    def halves(t, n):
        if n == 1:
            return heavy(t)
        t = checkpoint(halves, t, n // 2, use_reentrant=False)
        return checkpoint(halves, t, n // 2, use_reentrant=False)

    return run


@BOTH
def test_memory_is_that_of_the_inputs_and_of_one_segment(reentrant):
    # 32 layers of two arrays each (the result of exp is the next layer's input), against
    # 8 inputs and one segment of 4 layers; 5 arrays for gradients and values under way
    before, after = peak(plainly(32)), peak(in_segments(32, 8, reentrant))
    assert before > 2 * 32
    assert after < 8 + 2 * 4 + 5
    assert after / before < 0.33


@BOTH
def test_memory_grows_with_the_square_root_of_the_depth(reentrant):
    sizes = (16, 64, 256)
    peaks = [peak(in_segments(n, int(n**0.5), reentrant)) for n in sizes]
    # sqrt(n) inputs, a segment of 2 sqrt(n), and some more; without checkpoints it is 2 n
    for n, arrays in zip(sizes, peaks, strict=True):
        assert arrays < 3 * n**0.5 + 8
    assert peak(plainly(64)) > 2 * 64


def test_memory_of_checkpoints_in_checkpoints_grows_with_the_logarithm():
    # an input for each of the log2(n) levels of two halves, one layer, and what is under way
    for n in (16, 64):
        levels = n.bit_length() - 1
        assert peak(nested(n)) < 2 * levels + 2 + 5


@BOTH
def test_values_inside_live_only_while_the_backward_pass_needs_them(reentrant):
    inside = []

    def watched(t):
        for _ in range(2):
            t = t.exp()
            inside.append(weakref.ref(t._data))
        return t * 1

    gc.disable()
    try:
        t = leaf([0.5, 0.1]) * 1
        y = checkpoint(watched, t, use_reentrant=reentrant).sum()
        assert [ref() for ref in inside] == [None, None]
        y.backward(retain_graph=True)
        assert [ref() for ref in inside] == [None] * len(inside)
        argument = weakref.ref(t._data)
        del t
        assert argument() is not None
        y.backward()
        assert argument() is None
    finally:
        gc.enable()


# --- random numbers ------------------------------------------------------------------------------


def dropout(t):
    return t * (rd.rand(t.shape) > 0.5) * 2


@BOTH
def test_random_functions_do_the_same_again(reentrant):
    rd.manual_seed(7)
    x = rd.ones(200, requires_grad=True)
    y = checkpoint(lambda t: dropout(dropout(t.exp())), x, use_reentrant=reentrant)
    state = rd.get_rng_state()
    y.sum().backward()
    assert rd.get_rng_state().tolist() == state.tolist()
    assert x.grad.tolist() == y.tolist()
    assert 0 < (y != 0).sum().item() < 200


def test_random_numbers_in_nested_checkpoints():
    rd.manual_seed(7)
    x = rd.ones(200, requires_grad=True)

    def block(t):
        t = checkpoint(dropout, t.exp(), use_reentrant=False)
        return checkpoint(lambda a: dropout(a) * 1, t, use_reentrant=False)

    y = checkpoint(block, x, use_reentrant=False)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


@BOTH
def test_the_random_state_can_be_left_alone(reentrant):
    rd.manual_seed(7)
    x = rd.ones(200, requires_grad=True)
    y = checkpoint(lambda t: dropout(t.exp()), x, use_reentrant=reentrant, preserve_rng_state=False)
    state = rd.get_rng_state()
    y.sum().backward()
    assert x.grad.tolist() != y.tolist()
    assert rd.get_rng_state().tolist() != state.tolist()


# --- errors --------------------------------------------------------------------------------------


def changing(*functions):
    """A function that is another one each time it is called."""
    rest = iter(functions)
    return lambda t: next(rest)(t)


def test_other_shapes_in_the_repetition_are_told():
    function = changing(lambda t: t.exp() * t, lambda t: t.sum().exp() * t)
    y = checkpoint(function, leaf([1.0, 2.0]), use_reentrant=False)
    with pytest.raises(CheckpointError) as caught:
        y.sum().backward()
    text = str(caught.value)
    assert "have different metadata than during the forward pass." in text
    assert "tensor at position 0:\nsaved metadata: {'shape': rederive.Size([2])" in text
    assert "recomputed metadata: {'shape': rederive.Size([])" in text
    forward, recomputed = text.split("Saved during forward:")[1].split("Saved during recomp")
    assert "0: (2,) rederive.float64" in forward
    assert "0: () rederive.float64" in recomputed
    assert "debug=True" in text


def test_another_dtype_in_the_repetition_is_told():
    function = changing(lambda t: t.exp(), lambda t: t.float().exp())
    y = checkpoint(function, leaf([1.0]), use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"float64(.|\n)*recomputed metadata.*float32"):
        y.backward()


def test_fewer_tensors_in_the_repetition_are_told():
    function = changing(lambda t: t.exp().sin(), lambda t: t.exp())
    y = checkpoint(function, leaf([1.0]), use_reentrant=False)
    text = r"saved during forward: 2\n.*saved during recomputation: 1\.(.|\n)*Saved during forward"
    with pytest.raises(CheckpointError, match=text):
        y.backward()


def test_more_tensors_in_the_repetition_are_told_unless_it_stops_early():
    function = changing(*[lambda t: t.exp(), lambda t: t.exp().sin()] * 2)
    checkpoint(function, leaf([1.0]), use_reentrant=False).backward()
    y = checkpoint(function, leaf([1.0]), use_reentrant=False, early_stop=False)
    with pytest.raises(CheckpointError, match="trying to save more tensors during recomputation"):
        y.backward()


def test_long_lists_of_tensors_are_cut():
    def many(t):
        for _ in range(50):
            t = t.exp().clamp(max=1)
        return t

    y = checkpoint(changing(many, rd.exp), leaf([1.0]), use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"29: (.*)\n  \.\.\. and \d+ more"):
        y.backward()


@pytest.mark.parametrize("switch", [True, False], ids=["argument", "context"])
def test_debug_tells_the_lines_of_the_program(switch):
    function = changing(lambda t: t.exp().sin(), lambda t: t.cos())
    context = set_checkpoint_debug_enabled(None if switch else True)
    with context:
        y = checkpoint(function, leaf([1.0]), use_reentrant=False, debug=switch)
    with pytest.raises(CheckpointError) as caught:
        y.backward()
    text = str(caught.value)
    forward, recomputed = text.split("Saved during recomputation")
    assert forward.count("t.exp().sin(), lambda t: t.cos())") == 2
    assert recomputed.count("test_checkpoint.py:") == 1
    assert "debug=True" not in text


def test_determinism_check_must_be_known():
    with pytest.raises(ValueError, match=r"one of \['default', 'none'\], but got strict"):
        checkpoint(layer, leaf([1.0]), use_reentrant=False, determinism_check="strict")


def test_a_value_written_after_it_was_saved_inside_is_an_error():
    def careless(t):
        y = t.exp()
        z = y.sin()
        y.add_(1)
        return z.exp()

    y = checkpoint(careless, leaf([1.0]), use_reentrant=False)
    with pytest.raises(RuntimeError, match=r"by an inplace operation.*checkpoint.*saved tensor 1"):
        y.backward()


@BOTH
def test_an_argument_written_later_is_an_error(reentrant):
    t = leaf([1.0]) * 1
    y = checkpoint(layer, t, use_reentrant=reentrant)
    t.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_errors_in_the_repetition_pass_and_leave_no_state_behind():
    def fail(t):
        rd.rand(3)
        raise KeyError("second")

    for reentrant in (True, False):
        x = leaf([0.5])
        function = changing(layer, fail, layer)
        y = checkpoint(function, x, use_reentrant=reentrant)
        state = rd.get_rng_state().tolist()
        with pytest.raises(KeyError, match="second"):
            y.backward(retain_graph=True)
        assert rd.get_rng_state().tolist() == state
        assert rd.is_grad_enabled()
        y.backward()
        assert x.grad.tolist() == gradient_of(layer, leaf([0.5]))


def test_not_saying_which_variant_is_warned_about():
    text = "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly"
    with pytest.warns(UserWarning, match=text):
        y = checkpoint(layer, leaf([1.0]))
    assert y.grad_fn.name() == "CheckpointFunctionBackward"
    text = "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should"
    with pytest.warns(UserWarning, match=text):
        checkpoint_sequential([rd.sin, rd.cos], 2, leaf([1.0]))


def test_reentrant_without_inputs_that_require_grad_is_warned_about():
    x = rd.ones(2)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        y = checkpoint(layer, x, use_reentrant=True)
    assert not y.requires_grad
    w = leaf([1.0, 2.0])
    checkpoint(lambda t: t * w, x, use_reentrant=False).sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("how", ["grad", "inputs"])
def test_reentrant_is_incompatible_with_chosen_inputs(how):
    x = leaf([1.0])
    y = checkpoint(layer, x, use_reentrant=True)
    with pytest.raises(
        RuntimeError, match=r"is incompatible with .grad\(\) or passing an `inputs`"
    ):
        rd.autograd.grad(y, x) if how == "grad" else y.backward(inputs=[x])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scale": 2, "shift": 1}, "Unexpected keyword arguments: scale,shift"),
        ({"debug": True}, "only supported when use_reentrant=False"),
        ({"context_fn": list}, "only supported when use_reentrant=False"),
    ],
)
def test_what_the_reentrant_variant_does_not_take(options, text):
    with pytest.raises(ValueError, match=text):
        checkpoint(layer, leaf([1.0]), use_reentrant=True, **options)


def test_sequential_takes_no_other_keywords():
    with pytest.raises(ValueError, match="Unexpected keyword arguments: debug"):
        checkpoint_sequential([layer], 1, leaf([1.0]), use_reentrant=False, debug=True)


def test_reentrant_whose_outputs_need_no_gradient():
    y = checkpoint(lambda t: t.detach() * 2, leaf([1.0]), use_reentrant=True)
    with pytest.raises(RuntimeError, match="none of output has requires_grad=True"):
        y.backward()


# --- contexts ------------------------------------------------------------------------------------


def test_contexts_surround_the_call_and_its_repetition():
    events = []

    @contextlib.contextmanager
    def noting(name):
        events.append(f"enter {name}")
        yield
        events.append(f"leave {name}")

    y = checkpoint(
        layer,
        leaf([1.0]),
        use_reentrant=False,
        early_stop=False,
        context_fn=lambda: (noting("call"), noting("repetition")),
    )
    assert events == ["enter call", "leave call"]
    y.backward()
    assert events[2:] == ["enter repetition", "leave repetition"]
    with pytest.raises(ValueError, match="debug=True is incompatible with non-default context_fn"):
        checkpoint(layer, leaf([1.0]), use_reentrant=False, debug=True, context_fn=list)


def test_helpers_for_the_reentrant_variant():
    x = leaf([1.0]) * 2
    detached, number = checkpointing.detach_variable((x, 3))
    assert (detached.is_leaf, detached.requires_grad, number) == (True, True, 3)
    with pytest.raises(RuntimeError, match=r"Only tuple of tensors is supported.*list"):
        checkpointing.detach_variable([x])
