"""A packed recording is all that somebody else needs: it replays when the recording and the images are gone."""

import json
import shutil
import subprocess

import pytest

from guests import multiboot
from test_small_guests import ECHO


def call(rondo, *arguments, report=None, **options):
    extra = ["--report", str(report)] if report else []
    process = subprocess.run([str(rondo), *map(str, arguments), *extra], capture_output=True, timeout=580, **{"stdin": subprocess.DEVNULL, **options})
    return process, json.loads(report.read_text()) if report else None


STATE = ("instructions", "virtual_ns", "state_hash", "components", "debug_exit_code", "seed", "image")


def state(report):
    return {key: report[key] for key in STATE if key in report}


def travel(rondo, tmp_path, images, keys, *options):
    """Records, packs, deletes recording and images, unpacks elsewhere; replays there all of it and up to some Moments."""
    home, away = tmp_path / "home", tmp_path / "away"
    away.mkdir()
    keys_file = home / "keys"
    keys_file.write_bytes(keys)
    with keys_file.open("rb") as source:
        recording, recorded = call(rondo, "run", *images, "--record", home / "rec", *options, report=home / "run.json", stdin=source)
    assert recording.stderr == b""
    checkpoints = len(list((home / "rec" / "checkpoints").iterdir()))
    assert checkpoints > 1
    moments = ["end-1000", recorded["instructions"] // 2, "event:1"]
    before = [call(rondo, "replay", home / "rec", "--to", to, report=home / "there.json")[1] for to in moments]

    packed, _ = call(rondo, "pack", home / "rec", home / "packed")
    assert (packed.returncode, packed.stderr, packed.stdout) == (0, b"", b"")
    shutil.move(home / "packed", away / "packed")
    shutil.rmtree(home)
    unpacked, _ = call(rondo, "unpack", away / "packed", away / "rec")
    assert (unpacked.returncode, unpacked.stderr, unpacked.stdout) == (0, b"", b"")
    (away / "packed").unlink()
    assert len(list((away / "rec" / "checkpoints").iterdir())) == checkpoints

    replay, replayed = call(rondo, "replay", away / "rec", report=away / "replayed.json")
    assert replay.returncode == recording.returncode and replay.stderr == b""
    assert replay.stdout == recording.stdout and recording.stdout
    assert state(replayed) == state(recorded) and replayed["exit"] == recorded["exit"]
    assert replayed["replay"]["complete"] and replayed["replay"]["hashes_checked"] > checkpoints
    for to, was in zip(moments, before):
        there, report = call(rondo, "replay", away / "rec", "--to", to, report=away / "there.json")
        assert there.returncode == 3, there.stderr
        assert state(report) == state(was)
    return away


def test_a_small_guest(rondo, tmp_path):
    (tmp_path / "home").mkdir()
    guest = multiboot(tmp_path / "home", ECHO)
    keys = bytes(b for b in range(256) if b != ord("q")) + b"q"
    travel(rondo, tmp_path, ["--kernel", guest, "--memory", "4M"], keys, "--hash-interval", "20k", "--checkpoint-interval", "100k", "--seed", "7")


def test_a_boot(rondo, kernel, initramfs, tmp_path):
    (tmp_path / "home").mkdir()
    images = [shutil.copy(kernel, tmp_path / "home"), shutil.copy(initramfs, tmp_path / "home")]
    travel(
        rondo, tmp_path, ["--kernel", images[0], "--initrd", images[1], "--append", "console=ttyS0 quiet panic=-1 rondo.shell cryptomgr.notests"],
        b"uname -r\npoweroff -f\n", "--hash-interval", "20M", "--checkpoint-interval", "50M",
    )  # fmt: skip


@pytest.fixture
def recording(rondo, tmp_path):
    guest = multiboot(tmp_path, ECHO)
    done, _ = call(rondo, "run", "--kernel", guest, "--memory", "4M", "--record", tmp_path / "rec", "--max-instructions", "500k", "--checkpoint-interval", "100k")
    assert done.returncode == 3
    return tmp_path / "rec"


def refused(process):
    return process.returncode == 2 and process.stdout == b"" and process.stderr.startswith(b"rondo: ") and process.stderr.count(b"\n") == 1


def test_what_is_damaged_is_not_unpacked(rondo, recording, tmp_path):
    call(rondo, "pack", recording, tmp_path / "packed")
    good = (tmp_path / "packed").read_bytes()
    for n, bad in enumerate((good[: len(good) // 2], good[:-1], good + b"x", good[:2000] + bytes([good[2000] ^ 1]) + good[2001:], b"", b"hello")):
        (tmp_path / "bad").write_bytes(bad)
        before = sorted(tmp_path.iterdir())
        unpacked, _ = call(rondo, "unpack", tmp_path / "bad", tmp_path / "out")
        assert refused(unpacked), (n, unpacked)
        assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_overwritten(rondo, recording, tmp_path):
    call(rondo, "pack", recording, tmp_path / "packed")
    (tmp_path / "mine").mkdir()
    unpacked, _ = call(rondo, "unpack", tmp_path / "packed", tmp_path / "mine")
    assert refused(unpacked) and list((tmp_path / "mine").iterdir()) == []


def test_a_recording_without_its_images_is_not_packed(rondo, recording, tmp_path):
    for blob in (recording / "blobs").iterdir():
        blob.unlink()
    packed, _ = call(rondo, "pack", recording, tmp_path / "packed")
    assert refused(packed) and not (tmp_path / "packed").exists()
