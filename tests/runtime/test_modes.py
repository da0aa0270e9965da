"""The grad modes: nesting, decorators, generators, threads."""

import threading

import pytest
import rederive as rd


def test_no_grad_records_nothing_and_ends_with_the_block():
    x = rd.ones(2).requires_grad_()
    with rd.no_grad():
        assert not rd.is_grad_enabled()
        assert not (x * 2).requires_grad
    assert rd.is_grad_enabled()
    assert (x * 2).requires_grad


def test_modes_nest_and_survive_exceptions():
    with rd.no_grad():
        with pytest.raises(ValueError), rd.enable_grad():
            assert rd.is_grad_enabled()
            raise ValueError
        assert not rd.is_grad_enabled()
    assert rd.is_grad_enabled()


def test_set_grad_enabled_acts_at_once_and_as_a_context():
    try:
        rd.set_grad_enabled(False)
        assert not rd.is_grad_enabled()
        with rd.set_grad_enabled(True):
            assert rd.is_grad_enabled()
        assert not rd.is_grad_enabled()
    finally:
        rd.set_grad_enabled(True)


@pytest.mark.parametrize("decorator", [rd.no_grad(), rd.no_grad, rd.inference_mode()])
def test_decorated_function_runs_in_the_mode_and_keeps_its_name(decorator):
    @decorator
    def named(value):
        return rd.is_grad_enabled(), value

    assert named(3) == (False, 3)
    assert named.__name__ == "named"
    assert rd.is_grad_enabled()


def test_set_grad_enabled_as_decorator_does_not_act_at_definition():
    @rd.set_grad_enabled(False)
    def off():
        return rd.is_grad_enabled()

    assert rd.is_grad_enabled()
    assert not off()
    assert rd.is_grad_enabled()


def test_recursive_decorated_function_restores_the_mode():
    @rd.no_grad()
    def down(n):
        assert not rd.is_grad_enabled()
        return n if n == 0 else down(n - 1)

    down(3)
    assert rd.is_grad_enabled()


def test_generator_holds_the_mode_only_in_its_own_steps():
    @rd.no_grad()
    def numbers():
        assert not rd.is_grad_enabled()
        try:
            got = yield 1
            assert not rd.is_grad_enabled()
            yield got
        except KeyError:
            assert not rd.is_grad_enabled()
            yield "thrown"
        return 5

    generator = numbers()
    assert next(generator) == 1
    assert rd.is_grad_enabled()
    assert generator.send(7) == 7
    assert generator.throw(KeyError) == "thrown"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == 5
    assert rd.is_grad_enabled()


def test_closing_a_generator_runs_its_end_in_the_mode():
    seen = []

    @rd.no_grad()
    def numbers():
        try:
            yield 1
        finally:
            seen.append(rd.is_grad_enabled())

    generator = numbers()
    next(generator)
    generator.close()
    assert seen == [False]


CLASS_DECORATORS = {
    "no_grad": (lambda: rd.no_grad, (False, False)),
    "no_grad()": (lambda: rd.no_grad(), (False, False)),
    "enable_grad()": (lambda: rd.enable_grad(), (True, False)),
    "set_grad_enabled(False)": (lambda: rd.set_grad_enabled(False), (False, False)),
    "inference_mode": (lambda: rd.inference_mode, (False, True)),
    "inference_mode()": (lambda: rd.inference_mode(), (False, True)),
}


@pytest.mark.parametrize("name", CLASS_DECORATORS)
def test_decorated_class_warns_and_only_its_init_runs_in_the_mode(name):
    decorator, expected = CLASS_DECORATORS[name]

    class Model:
        def __init__(self, value):
            self.value = value
            self.inside = rd.is_grad_enabled(), rd.is_inference_mode_enabled()

        def modes(self):
            return rd.is_grad_enabled(), rd.is_inference_mode_enabled()

    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):
        made = decorator()(Model)
    assert not isinstance(made, type)
    model = made(value=3)
    assert type(model) is Model and model.value == 3
    assert model.inside == expected
    assert model.modes() == (True, False)


def test_set_grad_enabled_takes_only_bool_and_shows_its_mode():
    for wrong in (1, "a", None):
        with pytest.raises(TypeError, match="must be bool, not"):
            rd.set_grad_enabled(wrong)
    assert rd.is_grad_enabled()
    assert repr(rd.set_grad_enabled(True)).endswith("set_grad_enabled(mode=True)")


def test_each_thread_has_its_own_mode():
    seen = []
    with rd.no_grad():
        thread = threading.Thread(target=lambda: seen.append(rd.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not rd.is_grad_enabled()
    assert seen == [True]


def test_backward_in_one_thread_leaves_the_mode_of_another():
    x = rd.ones(2).requires_grad_()
    inside, done, seen = threading.Event(), threading.Event(), []

    def watch():
        inside.wait(10)
        seen.append(rd.is_grad_enabled())
        done.set()

    thread = threading.Thread(target=watch)
    thread.start()
    y = x * 2

    def hook(grad):
        assert not rd.is_grad_enabled()
        inside.set()
        done.wait(10)

    y.register_hook(hook)
    y.sum().backward()
    thread.join()
    assert seen == [True]


def test_decorated_method_of_each_mode():
    class Model:
        @rd.inference_mode
        def infer(self):
            return rd.is_grad_enabled(), rd.is_inference_mode_enabled()

        @rd.enable_grad
        def learn(self):
            return rd.is_grad_enabled(), rd.is_inference_mode_enabled()

    model = Model()
    assert model.infer() == (False, True)
    with rd.no_grad():
        assert model.learn() == (True, False)
