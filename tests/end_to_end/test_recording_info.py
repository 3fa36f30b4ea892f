"""rondo info: what it says of a recording that is good, unfinished, being written, damaged, or none at all."""

import json
import os
import signal
import subprocess
import time

import pytest

from guests import multiboot
from test_small_guests import ECHO, ENDLESS


@pytest.fixture
def info(rondo):
    """Looks at a path, for people and for machines: (exit status, text, JSON, errors)."""

    def info(path):
        text, machine = [subprocess.run([str(rondo), "info", str(path), *extra], capture_output=True, timeout=100) for extra in ([], ["--json"])]
        assert text.returncode == machine.returncode and text.stderr == machine.stderr
        return text.returncode, text.stdout.decode(), json.loads(machine.stdout), text.stderr.decode()

    return info


@pytest.fixture
def recording(rondo, tmp_path):
    guest = multiboot(tmp_path, ECHO)
    subprocess.run(
        [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--record", str(tmp_path / "rec"), "--hash-interval", "50k", "--checkpoint-interval", "100k",
         "--max-instructions", "500k", "--report", str(tmp_path / "run.json")],
        input=b"ab", capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    return tmp_path / "rec"


def value(text, name):
    """What the text says under a name."""
    return next(line[13:] for line in text.splitlines() if line.startswith(f"{name:<12} "))


def test_a_good_one(rondo, recording, info, tmp_path):
    run = json.loads((tmp_path / "run.json").read_text())
    subprocess.run([str(rondo), "pack", str(recording), str(tmp_path / "packed")], check=True, timeout=100)
    for path in (recording, tmp_path / "packed"):
        status, text, machine, errors = info(path)
        assert (status, errors) == (0, "")
        assert machine["state"] == value(text, "state") == "complete"
        assert machine["packed"] == (path != recording) == ("(packed)" in value(text, "recording"))
        assert machine["end"]["reason"] == "instruction_limit" and machine["end"]["instructions"] == 500_000
        assert machine["end"]["state_hash"] == machine["last_state_hash"]["hash"] == run["state_hash"]
        assert machine["last_state_hash"]["components"] == run["components"]
        assert machine["end"]["console_bytes"] == 2
        assert value(text, "end").startswith("instruction_limit after 500000 instructions")
        assert machine["machine"]["memory_bytes"] == 4 << 20 and value(text, "machine").startswith("4 MiB memory, 1 vCPU, engine software")
        assert [image["role"] for image in machine["machine"]["images"]] == ["kernel"] and machine["machine"]["images"][0]["good"]
        assert machine["machine"]["images"][0]["sha256"] in value(text, "kernel")
        assert machine["input_bytes"] == 2 and value(text, "input") == "2 bytes typed"
        kinds = machine["events_by_kind"]
        assert sum(kinds.values()) == machine["events"] == int(value(text, "events"))
        assert kinds["end"] == 1 and kinds["state-hash"] == 10 and kinds["console-input"] >= 1
        assert [file["file"] for file in machine["checkpoint_files"]] == [f"{count:020}.ckpt" for count in range(100_000, 500_000, 100_000)]
        assert machine["checkpoint_problems"] == machine["remarks"] == []
        assert machine["hash_interval"] == 50_000 and machine["checkpoint_interval"] == 100_000


def test_an_unfinished_one(rondo, info, tmp_path):
    directory = tmp_path / "rec"
    guest = multiboot(tmp_path, ENDLESS)
    recorder = subprocess.Popen(
        [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--console", "none", "--record", str(directory), "--hash-interval", "1M"], stdin=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not (directory / "events.log").exists() or (directory / "events.log").stat().st_size < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(recorder.pid, signal.SIGSTOP)
        status, text, machine, errors = info(directory)
        assert (status, errors) == (6, "")
        assert machine["state"] == "being written" and value(text, "state").startswith("being written: ")
    finally:
        recorder.kill()
        recorder.wait()
    status, text, machine, errors = info(directory)
    assert (status, errors) == (6, "")
    assert machine["state"] == "unfinished" and value(text, "state").startswith("unfinished: ")
    assert "end" not in machine and machine["events"] > 0 and machine["last_event"]["moment"]["count"] % 1_000_000 == 0


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_damaged_log(recording, info):
    log = recording / "events.log"
    flip(log, log.stat().st_size - 10)
    status, text, machine, errors = info(recording)
    assert (status, errors) == (7, "")
    assert machine["state"] == "damaged" and machine["explanation"] in value(text, "state")
    assert machine["machine"]["memory_bytes"] == 4 << 20  # what can be read is told


def test_a_damaged_checkpoint(recording, info):
    """Nothing depends on it: the recording is complete all the same."""
    second = sorted((recording / "checkpoints").iterdir())[1]
    second.write_bytes(second.read_bytes()[:-5])
    status, text, machine, errors = info(recording)
    assert (status, errors, machine["state"]) == (0, "", "complete")
    assert len(machine["checkpoint_problems"]) == 3  # those that build on it too
    assert second.name in machine["checkpoint_problems"][0]
    for problem in machine["checkpoint_problems"]:
        assert f"attention    {problem}" in text


@pytest.mark.parametrize("what", ["damaged", "missing"])
def test_a_damaged_image(recording, info, what):
    (blob,) = (recording / "blobs").iterdir()
    flip(blob, -1) if what == "damaged" else blob.unlink()
    status, text, machine, errors = info(recording)
    assert (status, errors) == (7, "")
    image = machine["machine"]["images"][0]
    assert machine["state"] == "damaged" and not image["good"] and image["problem"] in text


@pytest.mark.parametrize("at", [30, 500])
def test_a_damaged_manifest(recording, info, at):
    flip(recording / "manifest", at)
    status, text, machine, errors = info(recording)
    assert (status, text) == (7, "") and errors.startswith("rondo: info: ") and errors.count("\n") == 1
    assert machine["state"] == "damaged" and machine["explanation"] in errors


def test_a_damaged_pack(rondo, recording, info, tmp_path):
    subprocess.run([str(rondo), "pack", str(recording), str(tmp_path / "packed")], check=True, timeout=100)
    flip(tmp_path / "packed", 1000)
    status, text, machine, errors = info(tmp_path / "packed")
    assert (status, text, machine["state"]) == (7, "", "damaged") and errors.count("\n") == 1


def test_another_major_version(recording, info):
    manifest = bytearray((recording / "manifest").read_bytes())
    manifest[8] += 1
    (recording / "manifest").write_bytes(manifest)
    status, text, machine, errors = info(recording)
    assert (status, text, machine["state"]) == (2, "", "not a recording")
    assert errors.count("\n") == 1


def test_what_is_no_recording(info, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "file", "pipe", "nothing", "file/below"):
        status, text, machine, errors = info(tmp_path / name)
        assert (status, text, machine["state"]) == (2, "", "not a recording"), name
        assert errors.startswith("rondo: ") and errors.count("\n") == 1
