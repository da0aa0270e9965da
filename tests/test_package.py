"""The package as users get it: a wheel, installed elsewhere, and the editable installation."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("codegen", "generated", "runtime", "tools")
FILES = ("LICENSE", "README.md", "derivatives.yaml", "pyproject.toml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the sources, so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("sources")
    for folder in SOURCES:
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
        )
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "-w", str(out), str(copy))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel installed, and the environment in which Python finds it first."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--target", str(target), str(wheel))
    return target


def pip(command, *arguments):
    subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments], check=True
    )


def python(folder, *arguments, path=None):
    """Run Python in a folder that is not the checkout."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_wheel_holds_templates_schema_stubs_and_specification(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = {f"rederive/codegen/templates/{p.name}" for p in ROOT.glob("codegen/templates/*")}
    assert templates and names >= templates
    assert names >= {
        "rederive/py.typed",
        "rederive/__main__.py",
        "rederive/codegen/schema.json",
        "rederive/generated/registry.py",
        "rederive/specification/derivatives.yaml",
    }


def test_wheel_holds_every_module_and_nothing_else_of_the_repository(wheel):
    folders = {"runtime": "rederive", **{f: f"rederive/{f}" for f in SOURCES if f != "runtime"}}
    wanted = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in folders.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert names == wanted


def test_installed_wheel_runs_from_anywhere(installed, tmp_path):
    code = "import rederive, rederive.nn; print(rederive.__file__)"
    done = python(tmp_path, "-c", code, path=installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))


def test_installed_wheel_checks_gradients_and_knows_the_lines(installed, tmp_path):
    done = python(tmp_path, "-m", "rederive", "gradcheck", "--op", "mul", "--json", path=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rederive/specification/derivatives.yaml:" in done.stdout


def test_installed_wheel_does_not_rewrite_itself(installed, tmp_path):
    done = python(tmp_path, "-m", "rederive", "generate", path=installed)
    assert done.returncode == 2
    assert "name a specification" in done.stderr


@pytest.mark.parametrize("command", ["--version", "ops"])
def test_module_and_script_are_the_same_command(command, tmp_path):
    module = python(tmp_path, "-m", "rederive", command)
    script = subprocess.run(
        [Path(sys.executable).with_name("rederive"), command], capture_output=True, text=True
    )
    assert module.returncode == script.returncode == 0, module.stderr + script.stderr
    assert module.stdout == script.stdout != ""


def test_command_line_starts_without_the_generated_code(tmp_path):
    code = (
        "import runpy, sys; sys.argv = ['bootstrap', '--version']\n"
        f"try: runpy.run_path({str(ROOT / 'tools' / 'bootstrap.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('rederive.generated')])"
    )
    done = python(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
