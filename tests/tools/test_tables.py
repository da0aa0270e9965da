"""Tables, durations and the page that `rederive bench --write` fills."""

import pytest
from rederive.tools import progress
from rederive.tools.bench import report, timing
from rederive.tools.bench.timing import Comparison
from rederive.tools.progress import Table


def table():
    made = Table("title", ("name", "n"), right=frozenset({"n"}))
    made.add("a", 1)
    made.add("longer", 20)
    return made


def test_plain_table_is_aligned():
    assert table().plain() == "title\nname     n\n------  --\na        1\nlonger  20"


def test_markdown_table_aligns_numbers():
    assert table().markdown() == "| name | n |\n| --- | ---: |\n| a | 1 |\n| longer | 20 |"


def test_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="3 cells; 2 columns"):
        table().add(1, 2, 3)


def test_steps_without_a_terminal_print_nothing(capsys):
    assert list(progress.steps([1, 2], "title")) == [1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.41e-6, "2.41 us"),
        (160e-6, "160 us"),
        (1.3, "1.30 s"),
        (12.34e-3, "12.3 ms"),
        (0.0, "0.00 ns"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert timing.readable(seconds) == text


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    pair = [Comparison("a", 1.0, 4.0), Comparison("b", 4.0, 1.0)]
    assert timing.geometric_mean(pair) == pytest.approx(1.0)
    assert pair[0].ratio == 4.0


def test_compare_measures_both_sides():
    compared = timing.compare("sum", lambda: lambda: sum(range(2000)), lambda: lambda: 0, 3, 1e-4)
    assert compared.ours > compared.theirs > 0


def test_figures_are_replaced_and_prose_is_kept(tmp_path):
    page = tmp_path / "docs" / "performance.md"
    report.write(page, "first")
    page.write_text(page.read_text().replace("# Performance", "# Speed") + "\nAfterwards.\n")
    report.write(page, "second")
    text = page.read_text()
    assert text.startswith("# Speed") and text.endswith("Afterwards.\n")
    assert "second" in text and "first" not in text
    assert text.count(report.BEGIN) == 1


def test_page_without_marks_gets_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("prose\n")
    report.write(page, "figures")
    assert page.read_text().startswith("prose\n")
    assert f"{report.BEGIN}\n\nfigures\n\n{report.END}" in page.read_text()
