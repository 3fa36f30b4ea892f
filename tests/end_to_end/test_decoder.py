"""The decoder against a second one, over a whole kernel; and its coverage report."""

import json
import os
import pathlib
import subprocess

import pytest

from guests import unpacked_vmlinux


def test_every_instruction_of_the_kernel(kernel, tmp_path):
    tool = pathlib.Path(os.environ.get("RONDO_BUILD", ""), "release/tests/decoder/decoder_crosscheck")
    if not tool.exists():
        pytest.skip("decoder_crosscheck is not built: run scripts/test")
    process = subprocess.run([str(tool), str(unpacked_vmlinux(kernel, tmp_path))], capture_output=True, text=True, timeout=900)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]


def test_coverage_report(rondo):
    def ask(*arguments):
        return subprocess.run([str(rondo), "decoder", "coverage", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout

    opcodes = json.loads(ask("--json"))["opcodes"]
    assert len(opcodes) > 10_000
    assert all(o["status"] != "implemented" or o["operation"] for o in opcodes)
    assert all(o["status"] == "implemented" or o["reason"] for o in opcodes)
    assert len(ask("--all").splitlines()) > len(opcodes) > len(ask().splitlines())
