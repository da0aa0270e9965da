"""What to record when: actions, activities, and the usual schedule of a training loop."""

from __future__ import annotations

import os
import socket
import time
import warnings
from enum import Enum


class ProfilerAction(Enum):
    """What a profiler does during a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class ProfilerActivity(Enum):
    """What can be profiled. Only CPU is supported; the others are names that programs use."""

    CPU = 0
    XPU = 1
    CUDA = 2


def supported_activities():
    """The activities that can be profiled here: the CPU's."""
    return {ProfilerActivity.CPU}


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """A function from the number of a step to what the profiler does in it.

    Parameters
    ----------
    wait, warmup, active : int
        A cycle: steps to do nothing, to record for nothing (so that kernels are compiled and
        caches warm), and to record. After the last the trace is ready.
    repeat : int
        How many cycles; 0 for no end.
    skip_first : int
        Steps before the first cycle.
    skip_first_wait : int
        If not 0, the first cycle leaves `wait` out.
    """
    given = {"wait": wait, "warmup": warmup, "active": active, "repeat": repeat}
    given["skip_first"] = skip_first
    if min(given.values()) < 0 or active == 0:
        needed = {name: "> 0" if name == "active" else ">= 0" for name in given}
        shown = ", ".join(f"{name}={n} (need {needed[name]})" for name, n in given.items())
        raise AssertionError(f"Invalid profiler schedule arguments. Got {shown}.")
    if warmup == 0:
        warnings.warn(
            "Profiler won't be using warmup, this can skew profiler results",
            UserWarning,
            stacklevel=2,
        )

    def action(step):
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if repeat and step >= repeat * length:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == length - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """An `on_trace_ready` that writes each trace as a file of its own into a folder.

    The name of a file is the worker's (by default host and process) and the time; it ends in
    `.pt.trace.json`, by which TensorBoard finds it, or with `use_gzip` in `.pt.trace.json.gz`.
    RuntimeError if the folder cannot be made.
    """

    def handler(prof):
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        ending = ".pt.trace.json.gz" if use_gzip else ".pt.trace.json"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}{ending}"))

    return handler
