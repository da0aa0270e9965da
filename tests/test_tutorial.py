"""The tutorial's files and commands, as a newcomer types them, print what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILE = r"Save this as `([\w.]+)`:\n\n```(?:python|yaml)\n(.*?)^```$"
NUMBER = r"-?\d+\.\d+(?:e-\d+)?"


def commands():
    """(command, what the page shows) in the order of the page."""
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def comparable(text):
    """Without the numbers of a training or a measurement, and the widths that follow from them."""
    text = re.sub(r"^(pointwise +\d+ +\d+ +\d+).*", r"\1", text, flags=re.M)
    return re.sub(r" +", " ", re.sub(r"--+", "--", re.sub(NUMBER, "0.0", text)))


def test_commands_print_what_the_tutorial_shows(tmp_path):
    binaries, work = tmp_path / "bin", tmp_path / "work"
    binaries.mkdir()
    work.mkdir()
    for name, arguments in (("rederive", "-m rederive"), ("python", "")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "200", "PYTHONWARNINGS": "error"}
    files = re.findall(FILE, PAGE, re.M | re.S)
    assert len(files) == len(re.findall(r"^```(?:python|yaml)$", PAGE, re.M)) == 4
    for name, text in files:
        (work / name).write_text(text)
    printed = {}
    for command, shown in commands():
        done = subprocess.run(
            command, shell=True, cwd=work, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert comparable(done.stdout + done.stderr) == comparable(shown), command
        printed[command] = done.stdout, shown
    assert len(printed) == 5
    assert printed["python gradients.py"][0] == printed["python gradients.py"][1]
    accuracies = re.findall(r"(?:after:|ReLU|Tanh|Swish|loaded) +(\d+\.\d)%", str(printed))
    assert len(accuracies) == 10 and min(map(float, accuracies)) > 95
    low, high = re.search(
        r"sharpness from (\S+) to (\S+)", printed["python compare.py"][0]
    ).groups()
    assert float(low) < float(high) and float(high) > 1.1
