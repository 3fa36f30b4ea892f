"""Recording and replaying from Python."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from guests import multiboot  # noqa: E402
from test_small_guests import ECHO, ENDLESS  # noqa: E402

rondo = pytest.importorskip("rondo")


@pytest.fixture
def echo(tmp_path):
    return multiboot(tmp_path, ECHO)


def same_end(a, b):
    keys = ("exit", "debug_exit_code", "instructions", "virtual_ns", "state_hash", "components", "image", "seed", "memory_bytes")
    return all(getattr(a, key) == getattr(b, key) for key in keys)


def test_recorded_and_replayed(echo, tmp_path):
    with rondo.Machine(kernel=echo, memory="4M", seed=5, record=tmp_path / "rec", hash_interval=100_000, checkpoint_interval=500_000) as machine:
        machine.type("some ")
        machine.run(max_instructions=1_450_000)
        machine.type(b"inputq")
        report = machine.run()
        assert report.exit == "debug_exit"
    echo.unlink()
    for single_step in (False, True):
        again = rondo.replay(tmp_path / "rec", single_step=single_step)
        assert again.complete and again.divergence is None
        assert again.console == machine.console == b"some input"
        assert same_end(again.report, report)
        assert again.hashes_checked == report.instructions // 100_000 + 1


def test_recording_changes_nothing(echo, tmp_path):
    reports = []
    for record in (None, tmp_path / "rec"):
        machine = rondo.Machine(kernel=echo, memory="4M", record=record)
        machine.type("abcq")
        reports.append(machine.run())
        machine.close()
    assert same_end(*reports)


def test_to_a_moment(tmp_path):
    guest = multiboot(tmp_path, ENDLESS)
    with rondo.Machine(kernel=guest, memory="4M", record=tmp_path / "rec", checkpoint_interval=100_000) as machine:
        machine.run(max_instructions=1_000_000)
    straight = rondo.Machine(kernel=guest, memory="4M")
    for to, count in ((123_456, 123_456), ("end-1000", 999_000), ("250us", 250_000), ("end", 1_000_000)):
        there = rondo.replay(tmp_path / "rec", to=to)
        assert there.report.instructions == count and (there.report.exit, there.complete) == (("target", False) if to != "end" else ("instruction_limit", True))
    straight.run(max_instructions=999_000)
    assert rondo.replay(tmp_path / "rec", to=999_000).report.state_hash == straight.state_hash()


def test_unfinished(echo, tmp_path):
    machine = rondo.Machine(kernel=echo, memory="4M", record=tmp_path / "rec", hash_interval=100_000)
    machine.run(max_instructions=1_050_000)
    del machine  # not closed: there is no end
    cut = rondo.replay(tmp_path / "rec")
    assert cut.report.exit == "recording_cut_off" and not cut.complete and cut.divergence is None
    assert cut.report.instructions == 1_000_000 and cut.hashes_checked == 10


def test_a_branch_of_a_recorded_machine_is_not_recorded(echo, tmp_path):
    with rondo.Machine(kernel=echo, memory="4M", record=tmp_path / "rec") as machine:
        machine.run(max_instructions=500_000)
        with machine.snapshot().branch() as branch:
            branch.type("elsewhere")
            branch.run(max_instructions=5_000_000)
            assert branch.console == b"elsewhere"[: len(branch.console)] != b""
        machine.type("q")
        report = machine.run()
    again = rondo.replay(tmp_path / "rec")
    assert again.complete and again.console == b"" and same_end(again.report, report)


def test_the_command_reads_it(rondo_command, echo, tmp_path):
    with rondo.Machine(kernel=echo, memory="4M", record=tmp_path / "rec") as machine:
        machine.run(max_instructions=500_000)
    assert subprocess.run([rondo_command, "replay", str(tmp_path / "rec")], timeout=60).returncode == 3
    assert subprocess.run([rondo_command, "info", str(tmp_path / "rec")], timeout=60, stdout=subprocess.DEVNULL).returncode == 0


@pytest.fixture
def rondo_command():
    command = pathlib.Path(rondo.__file__).resolve().parents[2] / "rondo"
    if not command.is_file():
        pytest.skip("the rondo command is not beside the package")
    return str(command)


def test_errors(echo, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(rondo.Error, match="used"):
        rondo.Machine(kernel=echo, memory="4M", record=tmp_path / "used")
    with pytest.raises(rondo.Error):
        rondo.replay(tmp_path / "used")
    machine = rondo.Machine(kernel=echo, memory="4M", record=tmp_path / "rec")
    with pytest.raises(rondo.Error, match="is recorded"):
        machine.restore(machine.save())
    machine.close()
    machine.close()
    with pytest.raises(rondo.Error):
        machine.run()
    with pytest.raises(rondo.Error, match="soon"):
        rondo.replay(tmp_path / "rec", to="soon")
