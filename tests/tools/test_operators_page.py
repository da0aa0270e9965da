"""docs/operators.md lists what is declared."""

from pathlib import Path

from rederive.tools import operators_page, specification

SPEC = Path(specification.checkout_specification())
PAGE = SPEC.parent / "docs" / "operators.md"


def test_the_page_is_what_is_declared():
    assert operators_page.write(PAGE, SPEC, check=True) == 0


def test_a_page_that_differs_is_noticed(tmp_path, capsys):
    stale = tmp_path / "operators.md"
    assert operators_page.write(stale, SPEC, check=True) == 1
    stale.write_text(PAGE.read_text().replace("`tanh(self)`", "`sinh(self)`"))
    assert operators_page.write(stale, SPEC, check=True) == 1
    assert "is not what derivatives.yaml declares; run `rederive docs`" in capsys.readouterr().out


def test_a_row_shows_formulas_and_errors():
    text = PAGE.read_text()
    assert "| `tanh(Tensor self) -> Tensor` | `tanh(self)` | self: `grad * (1 - result * " in text
    row = next(line for line in text.splitlines() if line.startswith("| `softmax("))
    assert "`shift` = `max(self)`" in row
    assert "over `dim`" in row
    errors = [float(cell) for cell in row.split(" | ")[-3:-1]]
    assert all(error < 200 for error in errors)
