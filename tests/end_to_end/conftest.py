"""What end-to-end tests share: the command under test and the guests it boots. scripts/test sets the environment."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _path_from_environment(name: str, fallback: pathlib.Path | None = None) -> pathlib.Path:
    value = os.environ.get(name) or (str(fallback) if fallback and fallback.exists() else "")
    if not value:
        pytest.skip(f"{name} is not set: run scripts/test, which fetches and sets it")
    return pathlib.Path(value)


@pytest.fixture(scope="session")
def rondo() -> pathlib.Path:
    return _path_from_environment("RONDO_COMMAND", ROOT / "build/release/rondo")


@pytest.fixture(scope="session")
def kernel() -> pathlib.Path:
    return _path_from_environment("RONDO_TEST_KERNEL")


@pytest.fixture(scope="session")
def general_kernel() -> pathlib.Path:
    return _path_from_environment("RONDO_TEST_GENERAL_KERNEL")


@pytest.fixture(scope="session")
def initramfs() -> pathlib.Path:
    return _path_from_environment("RONDO_TEST_INITRAMFS", ROOT / "build/guest/initramfs.gz")


@pytest.fixture(scope="session")
def slow() -> bool:
    return os.environ.get("RONDO_SLOW_TESTS") == "1"


class Outcome:
    def __init__(self, process: subprocess.CompletedProcess, report: dict | None):
        self.status = process.returncode
        self.console = process.stdout
        self.errors = process.stderr.decode(errors="replace")
        self.report = report


@pytest.fixture
def run(rondo, tmp_path):
    """Runs `rondo run` with these arguments and gives its Outcome."""

    def run(*arguments, command=None, input=b"", timeout=580, prefix=(), env=None):
        report = tmp_path / f"report{len(list(tmp_path.iterdir()))}.json"
        process = subprocess.run(
            [*map(str, prefix), str(command or rondo), "run", *map(str, arguments), "--report", str(report)],
            input=input,
            capture_output=True,
            timeout=timeout,
            env=env,
        )
        return Outcome(process, json.loads(report.read_text()) if report.exists() else None)

    return run
