"""The Python package."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from guests import PRINT, multiboot  # noqa: E402
from test_small_guests import ECHO, ENDLESS  # noqa: E402

rondo = pytest.importorskip("rondo")


@pytest.fixture
def hello(tmp_path):
    return multiboot(tmp_path, PRINT + "mov al, 3\n out 0xf4, al\n hlt\n text: db 'hello', 0\n")


@pytest.fixture
def endless(tmp_path):
    return multiboot(tmp_path, ENDLESS)


def test_run_to_the_end(hello):
    machine = rondo.Machine(kernel=hello, memory="4M")
    report = machine.run()
    assert report.exit == "debug_exit" and report.debug_exit_code == 7
    assert machine.console == b"hello"
    assert report.state_hash == machine.state_hash()
    assert report.instructions == machine.instructions == report.virtual_ns
    assert report.memory_bytes == 4 << 20 and report.image == machine.image == "multiboot"
    assert set(report.components) >= {"vcpu0", "clock", "memory", "uart0"}
    assert machine.run().exit == "debug_exit", "an ended machine stays ended"


def test_two_machines_in_one_process_do_not_disturb_each_other(endless):
    machines = [rondo.Machine(kernel=endless, memory="4M") for _ in range(2)]
    for count in (1000, 1001, 500_000):
        for machine in machines:
            assert machine.run(max_instructions=count).instructions == count
    assert machines[0].state_hash() == machines[1].state_hash()


def test_limits(endless):
    machine = rondo.Machine(kernel=endless, memory="4M")
    assert machine.run(max_instructions=10).exit == "instruction_limit"
    assert machine.run(max_time="1us").virtual_ns == 1000
    assert machine.run(max_time=2e-6).virtual_ns == 2000
    assert machine.run(max_wall=0.2).exit == "wall_limit"


def test_save_and_restore(endless):
    machine = rondo.Machine(kernel=endless, memory="4M")
    machine.run(max_instructions=777)
    saved = machine.save()
    there = machine.run(max_instructions=2000).state_hash
    other = rondo.Machine(kernel=endless, memory="4M")
    other.restore(saved)
    assert other.instructions == 777
    assert other.run(max_instructions=2000).state_hash == there
    with pytest.raises(rondo.Error):
        other.restore(saved[:-1])
    with pytest.raises(rondo.Error):
        rondo.Machine(kernel=endless, memory="8M").restore(saved)


def test_typing_and_until(tmp_path):
    machine = rondo.Machine(kernel=multiboot(tmp_path, ECHO), memory="4M")
    machine.type("abc\n")
    assert machine.run(until="c\n").exit == "console_match"
    assert machine.console == b"abc\n"
    machine.type(b"q")
    assert machine.run().exit == "debug_exit"


def test_errors(tmp_path, hello):
    with pytest.raises(rondo.Error, match="No such file"):
        rondo.Machine(kernel=tmp_path / "nothing")
    with pytest.raises(rondo.Error, match="memory"):
        rondo.Machine(kernel=hello, memory=1)
    with pytest.raises(ValueError):
        rondo.Machine(kernel=hello, memory="lots")
    with pytest.raises(ValueError):
        rondo.Machine(kernel=hello, memory="4M").run(max_time="soon")
    with pytest.raises(TypeError):
        rondo.Machine()


def test_other_threads_go_on(endless):
    machine = rondo.Machine(kernel=endless, memory="4M")
    thread = threading.Thread(target=lambda: machine.run(max_wall=1.5))
    thread.start()
    time.sleep(0.3)
    begin = time.monotonic()
    with pytest.raises(rondo.Error, match="running"):
        machine.state_hash()
    assert machine.console == b""
    assert time.monotonic() - begin < 1, "the GIL was not released"
    thread.join()
    assert machine.instructions > 0


def test_ctrl_c(tmp_path, endless):
    script = tmp_path / "script.py"
    script.write_text(
        "import rondo, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # also where it is ignored: in a job of the shell's background
        f"machine = rondo.Machine(kernel={str(endless)!r}, memory='4M')\n"
        "print('ready', flush=True)\n"
        "try:\n    machine.run()\nexcept KeyboardInterrupt:\n    print('interrupted at', machine.instructions)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0].startswith("interrupted at ")
        assert process.returncode == 0
    finally:
        process.kill()


def test_boots_linux():
    kernel, initramfs = os.environ.get("RONDO_TEST_KERNEL"), os.environ.get("RONDO_TEST_INITRAMFS")
    if not kernel or not initramfs:
        pytest.skip("RONDO_TEST_KERNEL is not set: run scripts/test, which fetches and sets it")
    machine = rondo.Machine(kernel=kernel, initrd=initramfs, append="console=ttyS0 panic=-1")
    assert machine.run(until="rondo: userspace").exit == "console_match"
    report = machine.run(max_time="300s")
    assert report.exit == "power_off"
    assert b"powering off" in machine.console
