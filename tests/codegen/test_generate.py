"""The generator as a whole: what it writes, what it leaves alone, and the text that comes out."""

import ast
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rederive.codegen import command
from rederive.codegen.command import differences, generate, render
from rederive.codegen.load import load
from rederive.codegen.lower import lower

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "derivatives.yaml"
BAD = sorted((ROOT / "tests" / "specs" / "bad").glob("*.yaml"))

SPEC = """
- op: double(Tensor self) -> Tensor
  doc: Twice the input, element by element.
  group: {group}
  pointwise: self * {factor}
  gradients: {{self: grad * {factor}}}

- op: reverse_sign(Tensor self) -> Tensor
  doc: The input with its sign changed.
  pointwise: -self
  gradients: {{self: -grad}}
"""
BROKEN = SPEC.format(group="first", factor="self_")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec" / "ops.yaml"
    path.parent.mkdir()
    path.write_text(SPEC.format(group="first", factor="2"))
    return path


@pytest.fixture
def out(tmp_path, spec):
    folder = tmp_path / "ops"
    assert generate(spec, folder) == 0
    return folder


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


# --- the same input gives the same bytes -----------------------------------------------------


def test_generated_folder_is_what_the_specification_produces(own):
    assert differences(ROOT / "generated", own) == []


def test_rendering_twice_gives_the_same_text(own):
    again = render(OWN)
    assert again == own
    assert list(again) == list(own)


@pytest.mark.parametrize("seed", ["1", "4242"])
def test_hash_seed_does_not_matter(own, seed):
    program = (
        "import sys, hashlib, pathlib\n"
        "from rederive.codegen.command import render\n"
        "files = render(pathlib.Path(sys.argv[1]))\n"
        "print(hashlib.sha256(repr(files).encode()).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(OWN)],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(repr(own).encode()).hexdigest()


def test_text_depends_on_neither_place_nor_line_numbers(own, tmp_path):
    moved = tmp_path / "elsewhere" / OWN.name
    moved.parent.mkdir()
    moved.write_text("# Three\n# lines\n# more\n" + OWN.read_text(encoding="utf-8"))
    assert render(moved) == own
    text = "\n".join(own.values())
    assert str(ROOT) not in text
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_generating_again_changes_no_file(spec, out, capsys):
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert generate(spec, out) == 0
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert capsys.readouterr().out.endswith(" 0 changed\n")


# --- --check ---------------------------------------------------------------------------------


def test_check_of_a_current_folder_is_status_0(spec, out, capsys):
    capsys.readouterr()
    assert generate(spec, out, check=True) == 0
    assert capsys.readouterr() == ("", "")


def test_check_shows_the_difference_and_writes_nothing(spec, out, capsys):
    path = out / "kernels_pointwise_first.py"
    path.write_text(path.read_text().replace("self[i] * number(2)", "self[i] * number(3)"))
    before = contents(out)
    capsys.readouterr()
    assert generate(spec, out, check=True) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[:2] == [
        "--- ops/kernels_pointwise_first.py",
        "+++ ops/kernels_pointwise_first.py (from the specification)",
    ]
    assert lines[2].startswith("@@ ")
    assert "-        out[i] = self[i] * number(3)" in lines
    assert "+        out[i] = self[i] * number(2)" in lines
    assert printed.err == "1 files differ; run: rederive generate\n"
    assert contents(out) == before


def test_check_shows_missing_files_and_orphans(spec, out, capsys):
    (out / "registry.py").unlink()
    (out / "kernels_gone.py").write_bytes((out / "kernels_pointwise.py").read_bytes())
    capsys.readouterr()
    assert generate(spec, out, check=True) == 1
    printed = capsys.readouterr()
    assert "+OPERATORS = [" in printed.out.splitlines()
    assert "--- ops/kernels_gone.py" in printed.out.splitlines()
    assert printed.err.startswith("2 files differ")
    assert (out / "kernels_gone.py").exists()


def test_check_does_not_make_the_folder(spec, tmp_path, capsys):
    assert generate(spec, tmp_path / "new", check=True) == 1
    assert not (tmp_path / "new").exists()
    assert "+kernel = njit(" in capsys.readouterr().out.splitlines()


# --- what is written, and what is left alone -------------------------------------------------


def test_orphans_are_removed_and_foreign_files_kept(spec, out):
    foreign = {
        "notes.txt": b"Generated by hand\n",
        "helpers.py": b'"""Generated numbers for a table."""\n',
        "latin.py": b"# caf\xe9\n",
        "py.typed": b"",
    }
    for name, text in foreign.items():
        (out / name).write_bytes(text)
    (out / "folder.py").mkdir()
    spec.write_text(SPEC.format(group="second", factor="2"))
    assert generate(spec, out) == 0
    found = contents(out)
    assert {name: found[name] for name in foreign} == foreign
    assert (out / "folder.py").is_dir()
    assert [name for name in found if name.endswith("_first.py")] == []
    assert "kernels_pointwise_second.py" in found


def test_a_package_written_by_hand_is_not_overwritten(spec, tmp_path, capsys):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text('"""My program."""\n')
    before = contents(package)
    assert generate(spec, package) == 1
    assert contents(package) == before
    message = f"{package}/__init__.py: was not written by the generator; name another folder\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left")])
def test_interrupted_write_leaves_whole_files_and_no_temporary_ones(
    spec, out, monkeypatch, capsys, after, interruption
):
    before = contents(out)
    spec.write_text(SPEC.format(group="first", factor="3"))
    wanted = {name: text.encode() for name, text in render(spec).items()}
    replace, calls = os.replace, itertools.count()

    def interrupted(source, target):
        if next(calls) == after:
            raise interruption
        replace(source, target)

    monkeypatch.setattr(command.os, "replace", interrupted)
    if interruption is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            generate(spec, out)
    else:
        assert generate(spec, out) == 1
        assert capsys.readouterr().err == f"{out}: No space left\n"
    found = contents(out)
    assert found.keys() == before.keys()
    assert all(found[name] in (before[name], wanted[name]) for name in found)
    assert sum(found[name] != before[name] for name in found) == after


def test_failing_specification_leaves_the_folder_as_it_was(spec, out, capsys):
    before = contents(out)
    spec.write_text(BROKEN)
    assert generate(spec, out) == 1
    assert contents(out) == before
    error = capsys.readouterr().err
    assert "unknown name 'self_'" in error
    assert "Traceback" not in error


def test_failing_specification_prints_no_traceback(spec, tmp_path):
    spec.write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, "-m", "rederive", "generate", "spec/ops.yaml", "--out", "ops"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("spec/ops.yaml:5:21: error: op 'double', pointwise: unknown name")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ops").exists()


def test_missing_specification_is_status_1(tmp_path, capsys):
    assert generate(tmp_path / "absent.yaml", tmp_path / "ops") == 1
    message = "absent.yaml:1:1: error: the file cannot be read: No such file or directory\n"
    assert capsys.readouterr().err == f"{tmp_path}/{message}"
    assert not (tmp_path / "ops").exists()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_specification_writes_nothing(path, tmp_path, capsys):
    assert generate(path, tmp_path / "ops") == 1
    assert not (tmp_path / "ops").exists()
    assert "error: " in capsys.readouterr().err


# --- the text --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def fresh(own, tmp_path_factory):
    """derivatives.yaml generated into a folder of its own, beside the settings of ruff."""
    root = tmp_path_factory.mktemp("fresh")
    shutil.copy(ROOT / "pyproject.toml", root)
    assert generate(OWN, root / "generated") == 0
    return root


@pytest.mark.parametrize("arguments", [("format", "--diff"), ("check", "--output-format=concise")])
def test_ruff_accepts_the_generated_text(fresh, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "generated"],
        cwd=fresh,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_no_generated_file_is_longer_than_1000_lines(own):
    assert {name: text.count("\n") for name, text in own.items() if text.count("\n") > 1000} == {}


def test_generated_files_say_where_they_come_from(own):
    for name, text in own.items():
        assert "from derivatives.yaml" in text[:400], name


def kernels(files):
    """(file, function definition) of everything decorated as a kernel."""
    for name, text in files.items():
        if not name.startswith("kernels_"):
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(d, ast.Name) and d.id in ("kernel", "parallel_kernel")
                for d in node.decorator_list
            ):
                yield name, node


def test_kernel_names_are_unique(own):
    names = [node.name for _, node in kernels(own)]
    assert len(names) == len(set(names)) > 100


def test_kernels_call_nothing_of_another_file(own):
    allowed = {"numpy", "math", "numba", "numba.core", "numba.extending", "llvmlite"}
    for name, text in own.items():
        if not name.startswith("kernels_"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module in allowed, f"{name}: {ast.unparse(node)}"
            elif isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= allowed, name


def test_parallel_kernels_call_the_serial_one_of_their_name(own):
    for name, node in kernels(own):
        if node.name.endswith("_parallel"):
            called = {c.func.id for c in ast.walk(node) if isinstance(c, ast.Call) if _named(c)}
            assert node.name.removesuffix("_parallel") in called, name


def _named(node):
    return isinstance(node.func, ast.Name)


def above(text, node):
    """The comment that stands above a function, as one line a line, without marks."""
    lines = text.splitlines()
    last = min(d.lineno for d in node.decorator_list) - 1
    first = last
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return [line.removeprefix("#").strip() for line in lines[first:last]]


def test_declared_formulas_stand_verbatim_above_their_kernels(own):
    specification = load(OWN)
    comments = {node.name: above(own[name], node) for name, node in kernels(own)}
    checked = 0
    for module in lower(specification):
        for operator in module.operators:
            declared = dict(operator.entry.gradients) if not operator.entry.auto else {}
            for kernel in operator.kernels:
                only_runs = kernel.lane is not None and not kernel.body
                found = comments[kernel.name + "_runs" * only_runs]
                if "_backward" not in kernel.name:
                    formulas = [f.text for _, f in operator.entry.results]
                elif kernel.name == f"{operator.entry.name}_backward":
                    title, _, subjects = found[0].rstrip(":").partition(", gradient of ")
                    assert title == operator.entry.signature.name
                    formulas = [declared[s].text for s in subjects.split(", ") if s in declared]
                else:
                    continue
                for formula in formulas:
                    assert " ".join(formula.split()) in " ".join(found), kernel.name
                    checked += 1
    assert checked > 200


def test_declared_order_is_kept_within_a_file(own):
    positions = {e.name: i for i, e in enumerate(load(OWN).entries)}
    for name, text in own.items():
        if name.startswith("registry_"):
            found = re.findall(r'^        name="(\w+)",$', text, re.MULTILINE)
            order = [positions[n] for n in found]
            assert order == sorted(order) and found, name


def test_inserting_an_entry_changes_no_kernel_of_another(tmp_path):
    path = tmp_path / "ops.yaml"
    first = SPEC.format(group="first", factor="2")
    path.write_text(first)
    before = render(path)
    inserted = SPEC.format(group="other", factor="3").replace("double", "triple")
    path.write_text(inserted.partition("- op: reverse_sign")[0] + first)
    after = render(path)
    for name in ("kernels_pointwise_first.py", "functions_pointwise_first.py"):
        assert after[name] == before[name]
    assert "kernels_pointwise_other.py" in after
