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


def test_classes_cannot_be_decorated():
    with pytest.raises(TypeError, match="decorat"):

        @rd.no_grad()
        class Model:
            pass


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


def test_inference_mode_off_inside_on_records_again():
    x = rd.ones(2).requires_grad_()
    with rd.inference_mode():
        assert not (x * 2).requires_grad
        with rd.inference_mode(False):
            assert (x * 2).requires_grad
