"""Recording a run and running it again: the same bytes, counts and hashes."""

import json
import os
import pty
import random
import select
import shutil
import subprocess
import time

import pytest

from guests import PRINT, multiboot
from test_small_guests import ECHO, ENDLESS

GREETING = PRINT + "\n  mov dx, 0xf4\n  xor eax, eax\n  out dx, al\ntext: db 'hello', 10, 0\n"


@pytest.fixture
def command(rondo, tmp_path):
    """Runs a rondo command with a report: (exit status, console, errors, report)."""

    def command(*arguments, report=True, timeout=580, **options):
        path = tmp_path / f"report{random.getrandbits(40)}.json"
        extra = ["--report", str(path)] if report else []
        process = subprocess.run([str(rondo), *map(str, arguments), *extra], capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)
        return process.returncode, process.stdout, process.stderr.decode(), json.loads(path.read_text()) if path.exists() else None

    return command


def type_at_random_times(arguments, text, seed, timeout=300, pause=0.05):
    """Runs a command on a pseudo-terminal and types `text` into it, a few bytes at a time; gives its exit status and what it showed."""
    rng = random.Random(seed)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(arguments[0], arguments)
    shown, left = b"", text
    deadline = time.monotonic() + timeout
    next_key = time.monotonic() + rng.random() * pause
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.01)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        if left and time.monotonic() >= next_key and (shown or not text.startswith(b"echo")):
            size = rng.randint(1, 5)
            os.write(terminal, left[:size])
            left = left[size:]
            next_key = time.monotonic() + rng.random() * pause
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown


def same_end(a, b):
    keys = ("instructions", "virtual_ns", "state_hash", "components", "debug_exit_code")
    return {k: a.get(k) for k in keys} == {k: b.get(k) for k in keys}


def test_small_guest(command, tmp_path):
    guest = multiboot(tmp_path, GREETING)
    status, console, errors, recorded = command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec")
    assert (status, errors) == (0, ""), errors
    for drive in ([], ["--single-step"]):
        replayed_status, replayed_console, errors, replayed = command("replay", tmp_path / "rec", *drive)
        assert (replayed_status, errors) == (0, "")
        assert replayed_console == console == b"hello\n"
        assert same_end(recorded, replayed)
        assert replayed["exit"] == recorded["exit"] == "debug_exit"
        assert replayed["replay"]["complete"]


@pytest.mark.parametrize("limit", [["--max-instructions", "1234567"], ["--max-time", "1234567ns"], ["--max-wall", "300ms"]])
def test_limits_end_a_recording(command, tmp_path, limit):
    guest = multiboot(tmp_path, ENDLESS)
    status, _, _, recorded = command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec", "--hash-interval", "100k", *limit)
    assert status == 3
    status, _, errors, replayed = command("replay", tmp_path / "rec")
    assert status == 3, errors
    assert same_end(recorded, replayed)
    assert replayed["exit"] == recorded["exit"]
    # One at every multiple, and one at the end.
    assert replayed["replay"]["hashes_checked"] == recorded["instructions"] // 100_000 + 1


def test_typed_input_comes_at_the_same_moment(rondo, command, tmp_path):
    guest = multiboot(tmp_path, ECHO)
    text = bytes(random.Random(1).choice(b"abcdefgh ") for _ in range(200)) + b"q"
    directory = tmp_path / "rec"
    report = tmp_path / "recorded.json"
    status, shown = type_at_random_times(
        [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--record", str(directory), "--hash-interval", "1M", "--report", str(report)], text, seed=1, pause=0.02
    )
    assert status == 0
    recorded = json.loads(report.read_text())
    for drive in ([], ["--single-step"]) if recorded["instructions"] < 50_000_000 else ([],):
        status, console, errors, replayed = command("replay", directory, *drive)
        assert status == 0, errors
        assert same_end(recorded, replayed)
        assert console == text[:-1]


def test_seeking(command, tmp_path):
    guest = multiboot(tmp_path, ENDLESS)
    command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec", "--hash-interval", "100k", "--max-instructions", "1M")
    _, _, _, straight = command("run", "--kernel", guest, "--memory", "4M", "--max-instructions", "777777")
    status, _, errors, there = command("replay", tmp_path / "rec", "--to", "777777")
    assert status == 3 and same_end(straight, there), errors
    for name, count in (("end-1000", 999_000), ("500k", 500_000), ("250us", 250_000), ("event:3", 400_000), ("end", 1_000_000), ("end-1us", 999_000)):
        status, _, errors, there = command("replay", tmp_path / "rec", "--to", name)
        assert (status, errors) == (3, "")
        assert there["instructions"] == count, name


@pytest.mark.parametrize("to", ["soon", "event:x", "event:999", "end-", "end-99G", "-5", ""])
def test_moments_that_are_none(command, tmp_path, to):
    guest = multiboot(tmp_path, GREETING)
    command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec")
    status, _, errors, _ = command("replay", tmp_path / "rec", "--to", to)
    if to == "":
        assert status == 0
    else:
        assert status == 2 and len(errors.splitlines()) == 1 and errors.startswith("rondo: ")


def test_a_host_clock_and_a_random_seed_are_recorded(command, tmp_path):
    guest = multiboot(tmp_path, GREETING)
    _, _, _, first = command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec", "--rtc-start", "now", "--seed", "random")
    status, _, _, again = command("replay", tmp_path / "rec")
    assert status == 0 and same_end(first, again)
    assert first["seed"] == again["seed"] != 0


def test_recording_needs_a_new_directory(command, tmp_path):
    guest = multiboot(tmp_path, GREETING)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    status, _, errors, _ = command("run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "used")
    assert status == 2 and len(errors.splitlines()) == 1
    assert (tmp_path / "used" / "file").read_text() == "mine"
    status, _, errors, _ = command("replay", tmp_path / "used")
    assert status == 2 and len(errors.splitlines()) == 1


def test_a_boot_with_typing(rondo, command, kernel, initramfs, tmp_path, slow):
    """A person types at a shell, at other times in every run: every recording replays to the same end, also from an unpacked copy."""
    text = b"echo $((6*7)) is it\r" + b"cat /proc/interrupts | grep -c timer\r" + b"date; uptime\r" + b"poweroff -f\r"
    for n in range(50 if slow else 2):
        directory, report = tmp_path / f"rec{n}", tmp_path / f"recorded{n}.json"
        status, shown = type_at_random_times(
            [str(rondo), "run", "--kernel", str(kernel), "--initrd", str(initramfs), "--append", "console=ttyS0 quiet panic=-1 rondo.shell cryptomgr.notests",
             "--record", str(directory), "--report", str(report)],
            text, seed=n, pause=0.2)  # fmt: skip
        assert status == 0 and b"42 is it" in shown
        recorded = json.loads(report.read_text())
        if n % 2:
            assert command("pack", directory, tmp_path / "packed", report=False)[0] == 0
            shutil.rmtree(directory)
            directory = tmp_path / f"unpacked{n}"
            assert command("unpack", tmp_path / "packed", directory, report=False)[0] == 0
        status, console, errors, replayed = command("replay", directory)
        assert status == 0, errors
        assert same_end(recorded, replayed)
        assert console and console.replace(b"\r", b"") in shown.replace(b"\r", b"")
        shutil.rmtree(directory)


WORK = b"i=0; while [ $i -lt 25000 ]; do i=$((i+1)); done; ls -lR / >/dev/null 2>&1; poweroff -f\n"


@pytest.fixture(scope="module")
def long_recording(rondo, kernel, initramfs, tmp_path_factory):
    """A recording of more than two billion instructions: a boot, typed commands, work in a shell."""
    directory = tmp_path_factory.mktemp("long")
    keys = directory / "keys"
    keys.write_bytes(WORK)
    with keys.open("rb") as source:
        subprocess.run(
            [str(rondo), "run", "--kernel", str(kernel), "--initrd", str(initramfs), "--append", "console=ttyS0 quiet panic=-1 rondo.shell",
             "--record", str(directory / "rec"), "--report", str(directory / "report.json")],
            stdin=source, stdout=subprocess.DEVNULL, check=True, timeout=500,
        )  # fmt: skip
    report = json.loads((directory / "report.json").read_text())
    assert report["exit"] == "power_off" and report["instructions"] > 2_000_000_000
    # The same without checkpoints: every way is a straight run.
    shutil.copytree(directory / "rec", directory / "straight", ignore=shutil.ignore_patterns("checkpoints"))
    return directory, report


def test_random_moments_of_a_long_recording(command, long_recording, slow):
    directory, recorded = long_recording
    rng = random.Random(3)
    times = []
    for n in range(500 if slow else 16):
        to = rng.randrange(recorded["instructions"])
        begin = time.monotonic()
        status, _, errors, there = command("replay", directory / "rec", "--to", to, "--console", "none")
        times.append(time.monotonic() - begin)
        assert status == 3 and there["instructions"] == to, errors
        if n % 16 == 0:
            _, _, _, straight = command("replay", directory / "straight", "--to", to, "--console", "none")
            assert same_end(there, straight)
    print(f"seek: median {sorted(times)[len(times) // 2] * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms")


def test_a_seek_goes_on_to_the_recorded_end(command, long_recording):
    directory, recorded = long_recording
    status, _, errors, replayed = command("replay", directory / "straight", "--console", "none")
    assert status == 0 and same_end(recorded, replayed), errors


def test_damaged_checkpoints_are_left_out(command, long_recording, tmp_path):
    directory, recorded = long_recording
    copy = tmp_path / "copy"
    shutil.copytree(directory / "rec", copy)
    files = sorted((copy / "checkpoints").iterdir())
    data = bytearray(files[5].read_bytes())
    data[len(data) // 2] ^= 0x10
    files[5].write_bytes(data)
    files[9].write_bytes(files[9].read_bytes()[:100])
    files[12].unlink()
    to = recorded["instructions"] - 12_345
    status, _, errors, there = command("replay", copy, "--to", to, "--console", "none")
    assert status == 3, errors
    _, _, _, whole = command("replay", directory / "rec", "--to", to, "--console", "none")
    assert same_end(there, whole)
