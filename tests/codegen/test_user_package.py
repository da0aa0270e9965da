"""A package of a user's own operators, from its specification to its use, as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-operators.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "my_ops.yaml"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A function that runs a command line in a folder where `rederive` is a command."""
    folder = tmp_path_factory.mktemp("user")
    commands = folder / "bin"
    commands.mkdir()
    for name, arguments in (("rederive", "-m rederive"), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    shutil.copy(EXAMPLE, work)
    environment = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "200", "PYTHONWARNINGS": "error"}

    def run(command):
        return subprocess.run(
            command, shell=True, cwd=work, env=environment, capture_output=True, text=True
        )

    run.folder = work
    return run


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    """(command, the output that the page shows) in the order of the page."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def comparable(text):
    """Output without times, rounding errors and the widths that follow from them."""
    text = re.sub(r"^(pointwise|rowwise|composite)( +\d+ +\d+ +\d+).*", r"\1\2", text, flags=re.M)
    text = re.sub(r"-?\d+\.\d+(e-\d+)?", "0.0", text)
    return re.sub(r" +", " ", re.sub(r"--+", "--", text))


def test_example_is_what_the_page_shows():
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = blocks("yaml")
    assert len(shown) == text.count("- op: ") == 4
    assert all(block in text for block in shown)


def test_commands_print_what_the_page_shows(shell):
    (program,) = blocks("python")
    (shell.folder / "use.py").write_text(program)
    for command, shown in commands():
        done = shell(command)
        assert comparable(done.stdout + done.stderr) == comparable(shown), command
        assert done.returncode == ("error: " in shown or "checks failed" in shown), command
    assert not (shell.folder / "misspelt").exists()


PROGRAM = """
import numpy as np
import rederive
import my_ops

x = rederive.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], dtype=rederive.float64)
x.requires_grad_()
v = x.detach().numpy()

y = my_ops.bump(x, width=2)
assert np.allclose(y.detach().numpy(), np.exp(-((v / 2) ** 2) / 2), rtol=1e-15)
y.backward(rederive.ones_like(y))
assert np.allclose(x.grad.numpy(), -v / 4 * y.detach().numpy(), rtol=1e-14)
assert type(y.grad_fn).__name__ == "BumpBackward0"

x.grad = None
(first,) = rederive.autograd.grad(x.bump().sum(), x, create_graph=True)
first.sum().backward()
assert np.allclose(x.grad.numpy(), (v**2 - 1) * np.exp(-(v**2) / 2), rtol=1e-13)

x.grad = None
c = x.center(1)
assert np.allclose(c.detach().numpy(), v - v.mean(1, keepdims=True))
(c * c).sum().backward()
assert np.allclose(x.grad.numpy(), 2 * c.detach().numpy())

plain = x.detach().clone()
assert plain.bump_(width=2) is plain
assert np.allclose(plain.numpy(), y.detach().numpy())

big = rederive.linspace(-3, 3, 100_001, requires_grad=True)
my_ops.swish(big, beta=0.5).sum().backward()
b = big.detach().numpy().astype("float64")
gate = 1 / (1 + np.exp(-b / 2))
assert np.allclose(big.grad.numpy(), gate + b / 2 * gate * (1 - gate), rtol=1e-5, atol=1e-6)

q, k, w = (rederive.ones(s, requires_grad=True) for s in ([2, 3], [4, 3], [4, 5]))
out = my_ops.attention(q, k, w)
assert tuple(out.shape) == (2, 5)
out.sum().backward()
assert np.allclose(w.grad.numpy(), 0.5)
assert not hasattr(rederive.Tensor, "attention")
print("done")
"""


def test_package_works_in_a_process_of_its_own(shell):
    assert shell("rederive generate my_ops.yaml --out my_ops").returncode == 0
    (shell.folder / "program.py").write_text(PROGRAM)
    done = shell("python program.py")
    assert (done.stdout, done.stderr) == ("done\n", "")


HIDDEN = """
- op: cube(Tensor self) -> Tensor
  doc: The third power; its gradient is right, the gradient of that is not.
  pointwise: self * self * self
  gradients:
    self: grad * three_squares(self)
  reference: self ** 3

- op: three_squares(Tensor self) -> Tensor
  doc: Three times the square, with a gradient that is 0.1 % too large.
  pointwise: 3 * self * self
  gradients:
    self: 6.006 * grad * self
  reference: 3 * self ** 2

- op: halved(Tensor self, int dim) -> Tensor
  doc: Half the input, with a tangent that is 0.1 % too small.
  rowwise:
    over: dim
    result: self / 2
  gradients: {self: grad / 2}
  jvp: {self: tangent * 0.4995}
  calls: [{self: [2, 3], dim: 1}]
  reference: self / 2
"""


def test_mistakes_in_second_order_and_in_forward_mode_alone_are_found(shell):
    (shell.folder / "hidden.yaml").write_text(HIDDEN)
    assert shell("rederive generate hidden.yaml").returncode == 0
    done = shell("rederive gradcheck hidden --json")
    assert done.returncode == 1
    failed = re.findall(
        r'"operator": "(\w+)",\s+"family": "\w+",\s+"check": "([^"]+)"[^}]*?"passed": false',
        done.stdout,
    )
    assert {check for operator, check in failed if operator == "cube"} == {"second order"}
    assert {check for operator, check in failed if operator == "halved"} == {"forward mode"}
    text = shell("rederive gradcheck hidden --op cube --op halved")
    assert text.returncode == 1
    assert "gradient of self: grad * three_squares(self)    (hidden.yaml:6)" in text.stdout
    assert "gradient of self: grad / 2    (hidden.yaml:21)" in text.stdout
    assert "  tangent of self: tangent * 0.4995\n" in text.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swish", "the operator 'swish' is already that of my_ops"),
        (
            "backward",
            "the operator 'backward' cannot be a method, because Tensor has the attribute "
            "'backward'; write `method: false` in its entry",
        ),
    ],
)
def test_operator_whose_name_is_taken_is_refused(shell, name, message):
    text = f"- op: {name}(Tensor self) -> Tensor\n  doc: Text.\n  pointwise: self\n"
    (shell.folder / f"taken_{name}.yaml").write_text(f"{text}  gradients: auto\n")
    assert shell("rederive generate my_ops.yaml --out my_ops").returncode == 0
    assert shell(f"rederive generate taken_{name}.yaml").returncode == 0
    done = shell(f"python -c 'import my_ops, taken_{name}'")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ImportError: taken_{name}: {message}"
    if name == "backward":
        done = shell("rederive gradcheck taken_backward")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"rederive gradcheck: error: taken_{name}: {message}\n"
