"""Every declared operator passes every check, with the samples that its entry declares.

The same checks as `rederive gradcheck`; an operator is a test, so none can be left out.
"""

import pytest
from rederive.generated.registry import OPERATORS
from rederive.tools import samples
from rederive.tools.binding import Bound
from rederive.tools.checks import check_operator, forward_over_reverse
from rederive.tools.gradcheck import explain
from rederive.tools.specification import places

PLACES = places("rederive")


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_operator(operator):
    outcomes = list(check_operator(operator))
    if not all(outcome.passed for outcome in outcomes):
        pytest.fail(explain(outcomes, operator, PLACES), pytrace=False)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_forward_over_reverse(operator):
    for sample in samples.draw(operator):
        given = samples.floating(sample, operator.differentiable)
        if given and not (sample.kink or sample.empty):
            assert forward_over_reverse(Bound(operator, sample)) < 1e-12


def test_registry_names_are_unique():
    names = [operator.name for operator in OPERATORS]
    assert len(names) == len(set(names)) > 0
