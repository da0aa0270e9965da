"""Work shared out among threads: every piece once, errors, memory, and children of a fork."""

import os
import threading
import weakref

import pytest
from rederive import strips


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(strips, "get_num_threads", lambda: 2)


def test_every_piece_is_done_once(two_threads):
    for pieces in (1, 2, 3, 50):
        done = []
        strips.share_out(done.append, pieces)
        assert sorted(done) == list(range(pieces))


def test_two_threads_take_part(two_threads):
    meeting = threading.Barrier(2, timeout=20)
    strips.share_out(lambda piece: meeting.wait(), 2)


def test_an_error_in_a_piece_is_raised(two_threads):
    def work(piece):
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        strips.share_out(work, 5)


def test_work_within_work(two_threads):
    done = []
    strips.share_out(lambda i: strips.share_out(lambda j: done.append((i, j)), 3), 3)
    assert sorted(done) == [(i, j) for i in range(3) for j in range(3)]


def test_a_helper_that_comes_too_late_holds_no_arrays(monkeypatch, two_threads):
    asked = []
    monkeypatch.setattr(strips._helpers, "ask", lambda job, number: asked.append(job))

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    strips.share_out(lambda piece, held=held: None, 4)
    del held
    assert gone() is None
    asked[0].help()
    assert asked[0].taking_part == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(two_threads):
    meeting = threading.Barrier(2, timeout=20)
    strips.share_out(lambda piece: meeting.wait(), 2)
    child = os.fork()
    if child == 0:
        done = []
        try:
            strips.share_out(done.append, 9)
        finally:
            os._exit(0 if sorted(done) == list(range(9)) else 1)
    assert os.waitpid(child, 0)[1] == 0
