"""Nothing is lost: recordings whose writer was killed, or whose disk was full, replay to their last chunk."""

import json
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import termios
import time

import pytest

from guests import multiboot
from test_small_guests import ECHO, ENDLESS


def replay(rondo, directory, tmp_path):
    report = tmp_path / "replayed.json"
    report.unlink(missing_ok=True)
    process = subprocess.run([str(rondo), "replay", str(directory), "--report", str(report)], capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
    return process, json.loads(report.read_text()) if report.exists() else None


def type_and_kill(arguments, lifetime, rng):
    """Types single bytes on a pseudo-terminal and kills the program; gives the bytes with the times at which they were echoed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(arguments[0], arguments)
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~termios.ECHO  # only what the guest writes shows, also before the terminal is raw
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    start = time.monotonic()
    echoed = []  # (byte, time)
    next_key = start
    while time.monotonic() - start < lifetime:
        ready, _, _ = select.select([terminal], [], [], 0.002)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            echoed += [(byte, time.monotonic()) for byte in data]
        if time.monotonic() >= next_key:
            os.write(terminal, bytes([rng.choice(b"abcdefgh")]))
            next_key += rng.random() * 0.05
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    os.waitpid(pid, 0)
    os.close(terminal)
    return echoed, killed


def test_kill_at_any_time(rondo, tmp_path, slow):
    guest = multiboot(tmp_path, ECHO)
    rng = random.Random(7)
    replayed_some = 0
    for n in range(200 if slow else 6):
        directory = tmp_path / "rec"
        arguments = [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--record", str(directory), "--hash-interval", "10M", "--checkpoint-interval", "20M"]
        echoed, killed = type_and_kill(arguments, rng.uniform(0.0, 2.5), rng)
        if not (directory / "manifest").exists():
            shutil.rmtree(directory, ignore_errors=True)
            continue  # killed before there was a recording
        process, report = replay(rondo, directory, tmp_path)
        assert process.returncode == 3, process.stderr
        assert report["exit"] == "recording_cut_off"
        # What was on the terminal a second before the end is in the recording.
        sure = bytes(byte for byte, when in echoed if when < killed - 1.0)
        assert process.stdout.startswith(sure), (n, sure, process.stdout)
        replayed_some += len(process.stdout) > 0
        shutil.rmtree(directory)
    assert replayed_some > 0


def test_kill_during_a_boot(rondo, kernel, initramfs, tmp_path, slow):
    rng = random.Random(8)
    killed, longest = 0, 2.5
    while killed < (20 if slow else 2):
        directory = tmp_path / "rec"
        process = subprocess.Popen(
            [str(rondo), "run", "--kernel", str(kernel), "--initrd", str(initramfs), "--console", "none", "--record", str(directory), "--hash-interval", "20M", "--checkpoint-interval", "50M"],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(rng.uniform(0.1, longest))
        process.kill()
        process.wait()
        if (directory / "manifest").exists():
            done, report = replay(rondo, directory, tmp_path)
            if done.returncode == 0:  # the guest was quicker than the kill
                assert report["exit"] == "power_off"
                longest *= 0.7
                shutil.rmtree(directory)
                continue
            killed += 1
            assert done.returncode == 3 and report["exit"] == "recording_cut_off", done.stderr
            count = report["instructions"]
            if count > 1000:  # from a checkpoint too
                end, _ = subprocess.run([str(rondo), "replay", str(directory), "--to", "end-1000", "--console", "none", "--report", str(tmp_path / "there.json")], timeout=300), 0
                assert end.returncode == 3
                assert json.loads((tmp_path / "there.json").read_text())["instructions"] == count - 1000
        shutil.rmtree(directory, ignore_errors=True)  # none yet if it was killed that early


FILL = """
set -e
mount -t tmpfs -o size={size}k none {disk}
status=0
{command} || status=$?
cp -r {disk}/rec {out}
exit $status
"""


def test_full_disk(rondo, kernel, initramfs, tmp_path, slow):
    """A disk of random size that fills up while a boot is recorded."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("cannot make a mount namespace here (needs root)")
    rng = random.Random(9)
    disk = tmp_path / "disk"
    disk.mkdir()
    for n in range(20 if slow else 2):
        out = tmp_path / f"out{n}"
        # The images alone take about 10 MB; then a few KB of events, with checkpoints off.
        size = rng.choice([rng.randint(100, 12_000), rng.randint(10_000, 12_000)])
        command = f"{rondo} run --kernel {kernel} --initrd {initramfs} --console none --record {disk}/rec --hash-interval 100k --checkpoint-interval 0 --max-instructions 300M --report {tmp_path}/run.json </dev/null"
        process = subprocess.run(["unshare", "-m", "sh", "-c", FILL.format(size=size, disk=disk, command=command, out=out)], capture_output=True, timeout=300)
        errors = process.stderr.decode()
        assert process.returncode in (1, 2, 3), errors
        if process.returncode == 3:
            continue  # it was large enough
        assert "No space left" in errors and errors.count("\n") == 1, errors
        if process.returncode == 1:
            done, report = replay(rondo, out, tmp_path)
            assert done.returncode == 3 and report["exit"] == "recording_cut_off", done.stderr
            assert report["replay"]["hashes_checked"] > 0
        else:
            assert not (out / "manifest").exists()  # nothing that looks like a recording


def test_following_a_recording_while_it_is_written(rondo, tmp_path):
    guest = multiboot(tmp_path, ENDLESS)
    directory = tmp_path / "rec"
    recorder = subprocess.Popen(
        [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--console", "none", "--record", str(directory), "--hash-interval", "1M", "--max-wall", "3s", "--report", str(tmp_path / "run.json")],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (directory / "manifest").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    report = tmp_path / "followed.json"
    follower = subprocess.run([str(rondo), "replay", str(directory), "--follow", "--report", str(report)], capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    recorder.wait(timeout=60)
    followed, recorded = json.loads(report.read_text()), json.loads((tmp_path / "run.json").read_text())
    assert follower.returncode == 3, follower.stderr
    assert followed["exit"] == recorded["exit"] == "wall_limit"
    assert followed["state_hash"] == recorded["state_hash"] and followed["instructions"] == recorded["instructions"]


def test_checkpoints_that_cannot_be_written(rondo, tmp_path):
    """Is said once, while the run goes on; the recording is complete, and tells."""
    directory = tmp_path / "rec"
    recorder = subprocess.Popen(
        [str(rondo), "run", "--kernel", str(multiboot(tmp_path, ENDLESS)), "--memory", "4M", "--console", "none", "--record", str(directory), "--hash-interval", "5M", "--checkpoint-interval", "5M"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    try:
        while not list(directory.glob("checkpoints/*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (directory / "checkpoints").rename(tmp_path / "elsewhere")
        line = recorder.stderr.readline().decode()
        assert line.startswith("rondo: ") and "checkpoints/" in line and "No such file" in line and "the recording goes on" in line
        while len(list(directory.glob("*"))) < 3 or (directory / "events.log").stat().st_size < 1000:  # it does
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        recorder.terminate()
        rest = recorder.stderr.read()
        recorder.wait()
    assert recorder.returncode == 1 and rest == b""
    text, machine = [subprocess.run([str(rondo), "info", str(directory), *extra], capture_output=True, timeout=60) for extra in ([], ["--json"])]
    assert text.returncode == machine.returncode == 0
    remarks = json.loads(machine.stdout)["remarks"]
    assert len(remarks) == 1 and remarks[0]["text"] in line
    assert f"remark       {remarks[0]['text']} (at count {remarks[0]['moment']['count']}, " in text.stdout.decode()
    done, report = replay(rondo, directory, tmp_path)
    assert done.returncode == 1 and report["exit"] == "stopped" and report["replay"]["complete"], done.stderr
