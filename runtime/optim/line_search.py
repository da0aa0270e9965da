"""A line search for the strong Wolfe conditions, by bracketing and cubic interpolation.

Source: Nocedal & Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with the safeguards
of Schmidt's minFunc, whose constants these are.
"""

from __future__ import annotations

from typing import NamedTuple

DECREASE = 1e-4
CURVATURE = 0.9


class Point(NamedTuple):
    """A place on the line: how far along it, the loss, the gradient, its part along the line."""

    t: float
    loss: float
    grad: object
    slope: float


def strong_wolfe(evaluate, origin, t, reach, tolerance, most):
    """The best Point found on a line, and how often the function was evaluated.

    evaluate: the Point at t. origin: the Point at 0. reach: how far, in the largest coordinate,
    1 along the line goes; the search ends where that times the bracket is below `tolerance`.
    most: so many evaluations after the first one are made at most.
    """
    search = _Search(evaluate, origin, most)
    bracket, done = search.bracket(t)
    if not done:
        bracket = search.zoom(bracket, reach, tolerance)
    return bracket[_lower(bracket)], search.evaluations


class _Search:
    def __init__(self, evaluate, origin, most):
        self.evaluate = evaluate
        self.origin = origin
        self.most = most
        self.evaluations = 0

    def at(self, t):
        self.evaluations += 1
        return self.evaluate(t)

    def left(self):
        return self.evaluations - 1 < self.most

    def too_high(self, point):
        """Whether the loss has not decreased enough."""
        return point.loss > self.origin.loss + DECREASE * point.t * self.origin.slope

    def flat(self, point):
        """Whether the slope is small enough."""
        return abs(point.slope) <= -CURVATURE * self.origin.slope

    def bracket(self, t):
        """Two points between which there is a good one, and False; or a good one, and True."""
        before, point = self.origin, self.at(t)
        while self.left():
            risen = self.evaluations > 2 and point.loss >= before.loss
            if self.too_high(point) or risen:
                return [before, point], False
            if self.flat(point):
                return [point], True
            if point.slope >= 0:
                return [before, point], False
            nearest = point.t + 0.01 * (point.t - before.t)
            before, point = point, self.at(_cubic(before, point, nearest, 10 * point.t))
        return [self.origin, point], False

    def zoom(self, bracket, reach, tolerance):
        """Narrow a bracket down until its lower point is good, or no progress is made."""
        stuck = False
        while self.left():
            low, high = sorted(point.t for point in bracket)
            if (high - low) * reach < tolerance:
                break
            t = _cubic(*bracket, low, high)
            margin = 0.1 * (high - low)
            near = min(high - t, t - low) < margin
            if near and (stuck or t >= high or t <= low):
                t = high - margin if abs(t - high) < abs(t - low) else low + margin
                near = False
            stuck = near
            point = self.at(t)
            lower = _lower(bracket)
            best, other = bracket[lower], bracket[1 - lower]
            if self.too_high(point) or point.loss >= best.loss:
                bracket[1 - lower] = point
                continue
            # the positions stay what they are: of two equal losses the first counts as lower
            if not self.flat(point) and point.slope * (other.t - best.t) >= 0:
                bracket[1 - lower] = best
            bracket[lower] = point
            if self.flat(point):
                break
        return bracket


def _lower(bracket):
    return 0 if bracket[0].loss <= bracket[-1].loss else 1


def _cubic(first, second, low, high):
    """Where the cubic through two points with their slopes is lowest, within bounds.

    The middle of the bounds where it has no minimum.
    """
    a, b = (first, second) if first.t <= second.t else (second, first)
    theta = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = theta**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    root = square**0.5
    t = b.t - (b.t - a.t) * ((b.slope + root - theta) / (b.slope - a.slope + 2 * root))
    return min(max(t, low), high)
