"""codegen/layout.py: lines that are too long come out as ruff would break them."""

import subprocess
import sys

import pytest
from rederive.codegen.layout import WIDTH, condition, disjunction, lay_out, listed


def test_short_lists_stay_on_one_line():
    assert lay_out(listed("f(", ["a", "b"], ")")) == "f(a, b)\n"
    assert lay_out(listed("f(", [], ")")) == "f()\n"


def test_long_lists_have_one_item_a_line():
    items = [f"argument_{i}" for i in range(12)]
    lines = lay_out("    " + listed("f(", items, ")")).splitlines()
    assert lines == ["    f(", *(f"        {item}," for item in items), "    )"]


@pytest.mark.parametrize(("items", "text"), [(["a"], "x = (a,)\n"), (["a", "b"], "x = (a, b)\n")])
def test_tuple_of_one_has_its_comma(items, text):
    assert lay_out(listed("x = (", items, ")")) == text


@pytest.mark.parametrize("over", [0, 1])
def test_exactly_the_width_fits(over):
    items = ["a" * (WIDTH - len("f(, b)") + over), "b"]
    assert lay_out(listed("f(", items, ")")).count("\n") == (1 if not over else 4)


def test_long_conditions_have_one_test_a_line():
    tests = [f"type(operand_{i}) is Tensor" for i in range(4)]
    assert lay_out(condition(tests[:2])) == f"if {' and '.join(tests[:2])}:\n"
    assert lay_out(condition(tests)).splitlines() == [
        "if (",
        f"    {tests[0]}",
        *(f"    and {test}" for test in tests[1:]),
        "):",
    ]


def test_disjunctions_break_in_two_steps():
    def text(length, count):
        tests = [f"{chr(97 + i) * length}" for i in range(count)]
        return lay_out(disjunction("if (", tests, ") and modes.grad:")).splitlines()

    assert text(5, 2) == ["if (aaaaa or bbbbb) and modes.grad:"]
    assert text(40, 2) == ["if (", f"    {'a' * 40} or {'b' * 40}", ") and modes.grad:"]
    assert len(text(40, 3)) == 5


def test_blanks_and_blank_lines_are_tidied():
    assert lay_out("a  \n\n\n\n\nb\n\n\n") == "a\n\n\nb\n"


def test_ruff_keeps_what_is_laid_out(tmp_path):
    parts = []
    for length in range(1, 60, 3):
        names = [f"{letter}{'x' * length}" for letter in "abcd"]
        for count in (1, 2, 4):
            parts.append(listed("call(", names[:count], ")"))
            parts.append(listed("y = (", names[:count], ")"))
            parts += [condition(names[:count]), "    pass"] if count > 1 else []
            if count > 1:
                parts += [disjunction("if (", names[:count], ") and modes.grad:"), "    pass"]
    path = tmp_path / "laid_out.py"
    path.write_text(lay_out("\n".join(parts)))
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "--line-length=100", "--isolated", path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[:3000]


@pytest.mark.parametrize(
    "line",
    [
        "    gradient = ops.function(" + ", ".join(f"argument_{i}" for i in range(8)) + ")",
        "    return ops.function(" + ", ".join(f"argument_{i}" for i in range(20)) + ")",
        "    arguments=(" + ", ".join(f'"argument_{i}"' for i in range(20)) + "),",
        "    (" + ", ".join(f'"argument_{i}"' for i in range(20)) + "),",
    ],
)
def test_long_statements_are_broken_as_ruff_breaks_them(line):
    assert len(line) > WIDTH
    item = line.endswith("),")
    head = "x = f(\n" if item else "def f():\n"
    broken = head + lay_out(line) + (")\n" if item else "")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length", str(WIDTH), "-"],
        input=head + line + "\n" + (")\n" if item else ""),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == broken


def test_other_long_lines_stay_as_they_are():
    line = "x = " + " + ".join(f"operand_{i}" for i in range(20))
    assert lay_out(line) == line + "\n"
