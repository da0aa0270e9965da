"""The tour of the README is run, and what it prints is compared."""

import doctest
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_tour_prints_what_it_says():
    blocks = re.findall(r"^```pycon\n(.*?)^```", README.read_text(), re.M | re.S)
    assert blocks
    parser = doctest.DocTestParser()
    for number, block in enumerate(blocks):
        example = parser.get_doctest(block, {}, f"README, block {number + 1}", str(README), 0)
        runner = doctest.DocTestRunner()
        runner.run(example)
        assert runner.failures == 0 and runner.tries > 5


def test_number_of_operators_is_the_real_one():
    from rederive.generated.registry import OPERATORS

    assert f"the operators, {len(OPERATORS)} of them" in README.read_text()
