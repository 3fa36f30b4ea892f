"""A person at the terminal."""

import os
import pty
import signal
import subprocess
import termios
import time

import pytest

pexpect = pytest.importorskip("pexpect")

from guests import multiboot  # noqa: E402
from test_small_guests import ECHO, ENDLESS  # noqa: E402


def start(rondo, *arguments):
    return pexpect.spawn(str(rondo), ["run", *map(str, arguments)], timeout=120, echo=True)


def is_raw(child):
    return not termios.tcgetattr(child.child_fd)[3] & termios.ICANON


def finish(child):
    child.expect(pexpect.EOF)
    child.wait()
    return child.exitstatus


def test_shell(rondo, kernel, initramfs):
    child = start(rondo, "--kernel", kernel, "--initrd", initramfs, "--append", "console=ttyS0 quiet panic=-1 rondo.shell")
    child.expect("# ")
    assert is_raw(child)
    child.send("echo $((6 * 7)) is the answer\r")
    child.expect("\n42 is the answer")
    # Idle time is real time for somebody who waits.
    begin = time.monotonic()
    child.send("sleep 1; echo slept\r")
    child.expect("\nslept")
    assert 0.8 < time.monotonic() - begin < 60
    # Ctrl-C goes to the guest.
    child.send("sleep 1000\r")
    time.sleep(0.5)
    child.send("\x03")
    child.send("echo still here $((1 + 1))\r")
    child.expect("still here 2")
    child.send("poweroff -f\r")
    assert finish(child) == 0


def test_escape_key(rondo, tmp_path):
    child = start(rondo, "--kernel", multiboot(tmp_path, ECHO), "--memory", "4M")
    child.send("abc")
    child.expect("abc")
    assert is_raw(child)
    child.send("\x01h")
    child.expect("Ctrl-A x")
    child.send("\x01i")
    child.expect(r"\[\d+ instructions")
    child.send("\x01a")
    child.expect("\x01")
    child.send("\x01x")
    assert finish(child) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT])
def test_terminal_is_restored(rondo, tmp_path, number):
    guest = multiboot(tmp_path, ENDLESS)
    master, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        process = subprocess.Popen([str(rondo), "run", "--kernel", str(guest), "--memory", "4M"], stdin=terminal, stdout=terminal)
        deadline = time.monotonic() + 30
        while termios.tcgetattr(terminal)[3] & termios.ICANON:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(timeout=30)
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(master)
        os.close(terminal)


def test_progress_is_shown_on_a_terminal_only(rondo, tmp_path):
    arguments = [str(rondo), "run", "--kernel", str(multiboot(tmp_path, ENDLESS)), "--memory", "4M", "--console", "none", "--max-wall", "1s"]
    master, terminal = pty.openpty()
    try:
        subprocess.run(arguments, stdin=subprocess.DEVNULL, stderr=terminal, timeout=60)
        shown = os.read(master, 65536).decode()
    finally:
        os.close(master)
        os.close(terminal)
    assert "M instructions" in shown and "wall_limit after" in shown
    silent = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert silent.stdout == b"" and silent.stderr == b""
