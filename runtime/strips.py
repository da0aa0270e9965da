"""Work in pieces, shared out among Python threads: each runs kernels, which release the GIL.

For work of several kernels a piece. A parallel loop around each of them would start and wait for
all threads every time; here a thread takes the next piece when it is free, and one that the
system does not run is not waited for.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

from .threads import get_num_threads, threads


class _Job:
    """Calls of `work` with 0, 1, ... below `pieces`, by whoever takes part."""

    def __init__(self, work, pieces):
        self.work = work
        self.todo = iter(range(pieces))
        self.lock = threading.Lock()
        self.closed = False
        self.taking_part = 0
        self.ended = SimpleQueue()
        self.failed = []

    def help(self):
        """What another thread does, unless the work has ended by then."""
        with self.lock:
            if self.closed:
                return
            self.taking_part += 1
        self.go()
        self.ended.put(None)

    def go(self):
        try:
            for piece in self.todo:
                self.work(piece)
        except BaseException as error:
            self.failed.append(error)

    def finish(self):
        """Wait for those who take part."""
        with self.lock:
            self.closed = True
        for _ in range(self.taking_part):
            self.ended.get()
        # a thread that comes too late may hold the job for a while, but not the arrays
        self.work = None
        if self.failed:
            raise self.failed[0]


class _Helpers:
    """Threads that wait for jobs; started when first needed, and anew in a forked child."""

    def __init__(self):
        self.jobs = SimpleQueue()
        self.count = 0

    def ask(self, job, number):
        while self.count < number:
            self.count += 1
            threading.Thread(target=self._serve, args=(self.jobs,), daemon=True).start()
        for _ in range(number):
            self.jobs.put(job)

    @staticmethod
    def _serve(jobs):
        while True:
            job = jobs.get()
            job.help()
            del job


_helpers = _Helpers()
os.register_at_fork(after_in_child=_helpers.__init__)


def share_out(work, pieces, alone=False):
    """`work(0)`, `work(1)`, ... for that many pieces, on as many threads as kernels may use.

    alone: there is so little work that no other thread is woken for it.
    """
    helpers = 0 if alone else min(get_num_threads(), pieces) - 1
    if helpers < 1:
        for piece in range(pieces):
            work(piece)
        return
    job = _Job(work, pieces)
    with threads:
        _helpers.ask(job, helpers)
        job.go()
        job.finish()
