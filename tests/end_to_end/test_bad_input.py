"""What is wrong is said in one line, with exit status 2, and leaves nothing behind."""

import subprocess

import pytest


@pytest.fixture
def refuse(rondo, tmp_path):
    def refuse(*arguments):
        report = tmp_path / "report.json"
        before = sorted(tmp_path.iterdir())
        process = subprocess.run(
            [str(rondo), "run", "--report", str(report), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
        errors = process.stderr.decode()
        assert process.returncode == 2, errors
        assert process.stdout == b""
        assert errors.startswith("rondo: ") and errors.count("\n") == 1 and errors.endswith("\n"), errors
        assert sorted(tmp_path.iterdir()) == before, "something was left behind"
        return errors

    return refuse


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("This is not a kernel.\n" * 500)
    return path


def test_no_kernel(refuse):
    assert "--kernel is missing" in refuse()


def test_missing_kernel(refuse, tmp_path):
    assert "No such file" in refuse("--kernel", tmp_path / "nothing")


def test_directory_as_kernel(refuse, tmp_path):
    assert "is a directory" in refuse("--kernel", tmp_path)


def test_device_as_kernel(refuse):
    assert "not a regular file" in refuse("--kernel", "/dev/zero")


def test_text_as_kernel(refuse, text_file):
    assert "not a kernel" in refuse("--kernel", text_file)


def test_empty_kernel(refuse, tmp_path):
    (tmp_path / "empty").touch()
    assert "is empty" in refuse("--kernel", tmp_path / "empty")


def test_missing_initrd(refuse, text_file, tmp_path):
    assert "initrd" in refuse("--kernel", text_file, "--initrd", tmp_path / "nothing")


def test_initrd_larger_than_memory(refuse, kernel, tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(300 << 20)
    assert "initrd" in refuse("--kernel", kernel, "--initrd", big, "--memory", "256M")


def test_initrd_that_does_not_fit_beside_the_kernel(refuse, kernel, tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(250 << 20)
    assert "does not fit" in refuse("--kernel", kernel, "--initrd", big, "--memory", "256M")


@pytest.mark.parametrize("size", ["1M", "0", "12345", "2T", "99999999999T", "much", "-1", "256 M", ""])
def test_memory_size(refuse, text_file, size):
    assert "memory" in refuse("--kernel", text_file, "--memory", size)


def test_too_little_memory_for_the_kernel(refuse, kernel):
    assert "larger --memory" in refuse("--kernel", kernel, "--memory", "32M")


def test_unknown_flag(refuse):
    assert "--wrong" in refuse("--wrong")


def test_flag_without_value(refuse):
    assert "--kernel" in refuse("--kernel")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cpus", "2"),
        ("--cpus", "0"),
        ("--engine", "kvm", "--max-instructions", "1000"),
        ("--engine", "magic"),
        ("--max-instructions", "many"),
        ("--max-time", "-1s"),
        ("--trace", "5"),
        ("--trace", "9..5"),
        ("--seed", "x"),
        ("--rtc-start", "2024-02-30"),
        ("--console", "/nonexistent/console"),
        ("--trace", "1..2=/nonexistent/trace"),
        ("--append", "x" * 3000),
    ],
)
def test_bad_values(refuse, kernel, arguments):
    refuse("--kernel", kernel, *arguments)


def test_unwritable_report_is_known_before_the_run(rondo, kernel, tmp_path):
    process = subprocess.run(
        [str(rondo), "run", "--kernel", str(kernel), "--report", "/nonexistent/report.json"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
    )
    assert process.returncode == 2 and process.stdout == b"" and b"report" in process.stderr


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["run", "extra"], ["decoder"]])
def test_usage(rondo, arguments):
    process = subprocess.run([str(rondo), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    assert process.returncode == 2 and process.stderr.count(b"\n") == 1, process.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["version"]])
def test_help(rondo, arguments):
    process = subprocess.run([str(rondo), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    assert process.returncode == 0 and process.stdout and not process.stderr
