"""The command line: `rederive generate | gradcheck | ops | docs | bench | warmup`.

Exit status: 0 all is well, 1 the answer is no (a failed check, a bad specification, generated
files that differ), 2 the command was asked for something it cannot do. Each command imports what
it needs when it runs, so that `rederive --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rederive.tools import progress, specification
from rederive.tools.bench import options as bench_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except specification.Mistake as mistake:
        print(f"rederive {options.command}: error: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away (`rederive ops | head`). Python flushes standard output once more
        # at exit, which must not complain a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="rederive",
        description="Automatic differentiation whose operators are declared in one YAML file.",
    )
    top.add_argument("--version", action="version", version=_version())
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    _add_generate(commands)
    _add_gradcheck(commands)
    _add_ops(commands)
    _add_docs(commands)
    _add_bench(commands)
    _add_warmup(commands)
    return top


def _version() -> str:
    try:
        return f"rederive {importlib.metadata.version('rederive')}"
    except importlib.metadata.PackageNotFoundError:
        return "rederive (not installed)"


# --- generate --------------------------------------------------------------------------------


def _add_generate(commands) -> None:
    command = commands.add_parser(
        "generate",
        help="write the code of the operators that a specification declares",
        description="Write the Python package of the operators that a specification declares.",
    )
    command.add_argument(
        "spec",
        nargs="?",
        help="the specification; without it, the derivatives.yaml of the checkout of rederive",
    )
    command.add_argument(
        "--out",
        metavar="DIR",
        help="the package to write; without it, the specification's name without `.yaml`",
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing; show what would change, status 1"
    )
    command.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> int:
    own = specification.checkout_specification()
    if options.spec is None and own is None:
        raise specification.Mistake(
            "name a specification: rederive generate my_ops.yaml --out my_ops"
        )
    spec = Path(options.spec) if options.spec is not None else own
    assert spec is not None
    if not spec.is_file():
        raise specification.Mistake(f"{spec}: no such file")
    is_own = own is not None and spec.resolve() == own.resolve()
    if options.out is not None:
        out = Path(options.out)
    else:
        out = spec.parent / "generated" if is_own else spec.with_suffix("")
    if out.exists() and not out.is_dir():
        raise specification.Mistake(f"{out}: is not a folder")
    if out.resolve() == spec.resolve().parent:
        raise specification.Mistake(f"{out}: holds the specification; name another folder")
    if not out.name.isidentifier():
        raise specification.Mistake(f"{out}: the folder's name must be a Python identifier")
    from rederive.codegen import command

    # The formulas of a user's specification may call the operators of rederive.
    builtin = None if is_own else specification.built_in_specification()
    spec, out = specification.shown(spec), specification.shown(out)
    return command.generate(spec, out, check=options.check, builtin=builtin)


# --- gradcheck -------------------------------------------------------------------------------


def _add_gradcheck(commands) -> None:
    command = commands.add_parser(
        "gradcheck",
        help="check the gradients of every declared operator",
        description="Check the values and gradients of every declared operator: against the "
        "reference, finite differences in first and second order, and forward mode.",
    )
    _add_package(command)
    command.add_argument(
        "--op",
        action="append",
        default=[],
        metavar="NAME",
        help="check only this operator (may be given again)",
    )
    command.add_argument("--spec", metavar="FILE", help="the specification, for line numbers")
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    command.add_argument(
        "--fast", action="store_true", help="check second order along random directions only"
    )
    command.set_defaults(run=_gradcheck)


def _add_package(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "package",
        nargs="?",
        default=specification.BUILT_IN,
        help="a package that `rederive generate` wrote (a module name or a folder); "
        "without it, rederive itself",
    )


def _gradcheck(options: argparse.Namespace) -> int:
    operators = specification.operators_of(options.package)
    specification.select(operators, options.op)  # a mistyped name must not wait for the imports
    from rederive.tools import gradcheck

    return gradcheck.run(options.package, options.op, options.spec, options.json, options.fast)


# --- ops -------------------------------------------------------------------------------------


def _add_ops(commands) -> None:
    command = commands.add_parser(
        "ops", help="list the declared operators", description="List the declared operators."
    )
    _add_package(command)
    command.add_argument("--json", action="store_true", help="print everything as JSON")
    command.set_defaults(run=_ops)


def _ops(options: argparse.Namespace) -> int:
    operators = specification.operators_of(options.package)
    if options.json:
        print(json.dumps([_described(operator) for operator in operators], indent=2))
        return 0
    table = progress.Table("", ("operator", "family", "signature", "gradients"))
    for operator in operators:
        table.add(
            operator.name,
            operator.family,
            operator.signature,
            ", ".join(operator.differentiable) or "-",
        )
    table.show()
    print(f"{len(operators)} operators")
    return 0


def _described(operator) -> dict[str, object]:
    return {
        "name": operator.name,
        "family": operator.family,
        "group": operator.group,
        "namespace": list(operator.namespace),
        "signature": operator.signature,
        "doc": operator.doc,
        "gradients": dict(operator.gradients),
        "differentiable": list(operator.differentiable),
        "reference": operator.reference,
    }


# --- docs ------------------------------------------------------------------------------------


def _add_docs(commands) -> None:
    command = commands.add_parser(
        "docs",
        help="write docs/operators.md: every operator as declared and as measured",
        description="Write the table of the declared operators, with the errors measured now.",
    )
    command.add_argument(
        "--check", action="store_true", help="only say whether the table is up to date"
    )
    command.set_defaults(run=_docs)


def _docs(options: argparse.Namespace) -> int:
    spec = specification.checkout_specification()
    if spec is None:
        raise specification.Mistake("docs are written in a checkout of rederive")
    from rederive.tools import operators_page

    page = spec.parent / "docs" / "operators.md"
    return operators_page.write(page, spec, options.check)


# --- bench and warmup ------------------------------------------------------------------------


def _add_bench(commands) -> None:
    command = commands.add_parser(
        "bench",
        help="compare speed with PyTorch",
        description="Compare speed with PyTorch: both in one process, alternating, medians.",
    )
    bench_options.add(command)
    command.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("torch") is None:
        raise specification.Mistake(
            "PyTorch is not installed; `make bench` does it, or: pip install 'rederive[bench]'"
        )
    from rederive.tools.bench import command

    return command.run(options)


def _add_warmup(commands) -> None:
    command = commands.add_parser(
        "warmup",
        help="compile every kernel now, into Numba's cache",
        description="Call every operator forward and backward once in float32 and float64, so "
        "that its kernels are compiled and cached before a program needs them.",
    )
    _add_package(command)
    command.set_defaults(run=_warmup)


def _warmup(options: argparse.Namespace) -> int:
    operators = specification.operators_of(options.package)
    from rederive.tools import warmup

    return warmup.run(operators)


if __name__ == "__main__":
    raise SystemExit(main())
