"""The command line: what it prints, its exit statuses, and that mistakes show no traceback."""

import json
import sys
from types import ModuleType

import pytest
import rederive.codegen
from rederive.codegen.model import Argument
from rederive.tools import cli, specification


@pytest.fixture
def registry(monkeypatch, declare):
    """A registry of two operators in place of the generated one."""
    module = ModuleType("rederive.generated.registry")
    module.OPERATORS = (
        declare("exp", signature="exp(Tensor self) -> Tensor", gradients={"self": "grad * result"}),
        declare(
            "max_dim",
            arguments=(Argument("self", "Tensor"), Argument("dim", "int")),
            family="rowwise",
            differentiable=(),
        ),
    )
    monkeypatch.setitem(sys.modules, "rederive.generated.registry", module)


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for command in ("generate", "gradcheck", "ops", "bench", "warmup"):
        assert command in printed


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["gradcheck", "--nonsense"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: rederive" in capsys.readouterr().err


def test_unknown_operator_suggests_the_nearest(registry, capsys):
    assert cli.main(["gradcheck", "--op", "expp"]) == 2
    message = "rederive gradcheck: error: no operator is named 'expp'; did you mean exp?\n"
    assert capsys.readouterr().err == message


def test_unknown_package_is_a_mistake(capsys):
    assert cli.main(["ops", "no_such_package"]) == 2
    assert "there is no module 'no_such_package'" in capsys.readouterr().err


def test_folder_without_registry_is_a_mistake(tmp_path, capsys):
    assert cli.main(["gradcheck", str(tmp_path)]) == 2
    assert "has no registry.py; run `rederive generate` first" in capsys.readouterr().err


def test_missing_specification_is_a_mistake(tmp_path, capsys):
    assert cli.main(["generate", str(tmp_path / "absent.yaml")]) == 2
    assert "absent.yaml: no such file" in capsys.readouterr().err


def test_generate_without_checkout_asks_for_a_specification(monkeypatch, capsys):
    monkeypatch.setattr(specification, "checkout_specification", lambda: None)
    assert cli.main(["generate"]) == 2
    assert "name a specification: rederive generate my_ops.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("my-ops", "must be a Python identifier"),
        ("ops.yaml", "is not a folder"),
        (".", "holds the specification"),
    ],
)
def test_output_folder_that_cannot_be_a_package_is_a_mistake(tmp_path, capsys, out, message):
    spec = tmp_path / "ops.yaml"
    spec.write_text("")
    assert cli.main(["generate", str(spec), "--out", str(tmp_path / out)]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["ops.yaml"]


def test_ops_lists_signatures_and_gradients(registry, capsys):
    assert cli.main(["ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["exp", "pointwise", "exp(Tensor", "self)", "->", "Tensor", "self"]
    assert lines[3].endswith("-")
    assert lines[-1] == "2 operators"


def test_ops_as_json(registry, capsys):
    assert cli.main(["ops", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["gradients"] == {"self": "grad * result"}
    assert (second["name"], second["family"]) == ("max_dim", "rowwise")


def test_interrupt_is_status_130(registry, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(specification, "operators_of", interrupt)
    assert cli.main(["ops"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_bench_without_pytorch_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["bench"]) == 2
    assert "PyTorch is not installed; `make bench` does it" in capsys.readouterr().err


def test_operators_are_selected_by_public_name(registry):
    operators = specification.operators_of("rederive")
    assert [o.name for o in specification.select(operators, ["max"])] == ["max_dim"]
    assert [o.name for o in specification.select(operators, ["max_dim"])] == ["max_dim"]
    assert len(specification.select(operators, [])) == 2


def test_user_package_is_found_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "ops_of_a_user"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text("OPERATORS = [1, 2]\n")
    assert specification.operators_of(str(package)) == (1, 2)


@pytest.fixture
def generated(monkeypatch):
    """The calls of the generator, which does nothing."""
    calls = []
    module = ModuleType("rederive.codegen.command")

    def generate(spec, out, **options):
        calls.append((str(spec), str(out), options))
        return 0

    module.generate = generate
    monkeypatch.setitem(sys.modules, "rederive.codegen.command", module)
    monkeypatch.setattr(rederive.codegen, "command", module, raising=False)
    return calls


def test_users_package_is_named_after_its_specification(tmp_path, monkeypatch, generated):
    monkeypatch.chdir(tmp_path)
    builtin = tmp_path / "elsewhere" / "derivatives.yaml"
    monkeypatch.setattr(specification, "built_in_specification", lambda: builtin)
    (tmp_path / "my_ops.yaml").write_text("")
    assert cli.main(["generate", str(tmp_path / "my_ops.yaml"), "--check"]) == 0
    assert generated == [("my_ops.yaml", "my_ops", {"check": True, "builtin": builtin})]


def test_own_specification_goes_to_generated_and_imports_nothing(tmp_path, monkeypatch, generated):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "derivatives.yaml"
    own.write_text("")
    monkeypatch.setattr(specification, "checkout_specification", lambda: own)
    for arguments in (["generate"], ["generate", "derivatives.yaml"]):
        assert cli.main(arguments) == 0
    assert generated == [("derivatives.yaml", "generated", {"check": False, "builtin": None})] * 2
