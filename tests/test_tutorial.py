"""Every block of the tutorial is run in its order, and what it prints is compared."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def run_commands(block):
    """Run each line after `$ `; what should be printed must be in what is printed."""
    for part in block.split("$ ")[1:]:
        command, _, expected = part.partition("\n")
        name, *arguments = shlex.split(command)
        assert name == "rederive"
        done = subprocess.run(
            [sys.executable, "-m", "rederive", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert expected.strip() in done.stdout
        if arguments[0] == "gradcheck":
            assert re.search(r"1 operators, \d+ checks passed", done.stdout)


def test_blocks_do_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names, printed, kinds = {"__name__": "tutorial"}, "", []
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S):
        kinds.append(kind)
        if kind == "yaml":
            Path("bends.yaml").write_text(block)
        elif kind == "console":
            run_commands(block)
        elif kind == "python":
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                exec(compile(block, str(TUTORIAL), "exec"), names)
            printed = shown.getvalue()
        elif kind == "text":
            assert printed == block
    assert kinds.count("python") == 5 and kinds.count("text") == 5


def test_the_shell_commands_name_targets_that_exist():
    commands = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S)
    assert commands[0] == "make run\n"
    assert re.search(r"^run:", (TUTORIAL.parents[1] / "Makefile").read_text(), re.M)
