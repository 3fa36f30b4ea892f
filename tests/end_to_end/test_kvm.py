"""Machines on KVM, recorded and replayed. Everything here needs /dev/kvm but for the refusals."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from debugger import debug
from guests import PRINT, compiled_init, multiboot

FINISH = "\n  mov dx, 0xf4\n  xor eax, eax\n  out dx, al\n"
# Computes until the guest has seen 5 timer interrupts, without a single exit in between; then says so.
TICKING = (
    """
  lgdt [gdtr]
  jmp 8:.flat
.flat:
  mov ax, 16
  mov ds, ax
  mov ss, ax
  mov esp, 0x90000
  mov edi, idt
  mov eax, handler
  mov word [edi + 0x40 * 8], ax
  shr eax, 16
  mov word [edi + 0x40 * 8 + 6], ax
  mov word [edi + 0x40 * 8 + 2], 8
  mov word [edi + 0x40 * 8 + 4], 0x8e00
  lidt [idtr]
  mov dword [0xfee000f0], 0x1ff
  mov dword [0xfee003e0], 0xb
  mov dword [0xfee00320], 0x20040
  mov dword [0xfee00380], 2000000
  sti
.work:
  imul ebx, ebx, 1664525
  add ebx, 1013904223
  cmp dword [ticks], 5
  jb .work
  cli
"""
    + PRINT
    + FINISH
    + """
handler:
  inc dword [ticks]
  mov dword [0xfee000b0], 0
  iret
text: db 'ticked', 10, 0
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr: dw 23
  dd gdt
ticks: dd 0
idtr: dw 0x41 * 8 - 1
  dd idt
align 8
idt: times 0x41 * 8 db 0
"""
)


def has_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


needs_kvm = pytest.mark.skipif(not has_kvm(), reason="no usable /dev/kvm on this host")


@pytest.fixture
def command(rondo, tmp_path):
    """Runs a rondo command with a report: (exit status, console, errors, report)."""

    def command(*arguments, report=True, timeout=580):
        path = tmp_path / f"report{time.monotonic_ns()}.json"
        extra = ["--report", path] if report else []
        process = subprocess.run([str(a) for a in (rondo, *arguments, *extra)], capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        return process.returncode, process.stdout, process.stderr.decode(), json.loads(path.read_text()) if path.exists() else None

    return command


def same_end(a, b):
    keys = ("exit", "instructions", "virtual_ns", "state_hash", "components", "debug_exit_code")
    return {k: a.get(k) for k in keys} == {k: b.get(k) for k in keys}


def test_without_kvm(command, tmp_path):
    if has_kvm():
        pytest.skip("this host has KVM")
    guest = multiboot(tmp_path, PRINT + FINISH + "text: db 'hello', 10, 0\n")
    status, _, errors, _ = command("run", "--engine", "kvm", "--kernel", guest)
    assert status == 2 and errors.count("\n") == 1
    assert "--engine kvm" in errors and "--engine software" in errors


@pytest.mark.parametrize("option", [["--max-instructions", "5"], ["--trace", "1..2"], ["--single-step"], ["--plant", "alu@1000:0"]])
def test_what_counts_instructions_is_refused(command, tmp_path, option):
    status, _, errors, _ = command("run", "--engine", "kvm", "--kernel", tmp_path / "none", *option)
    assert status == 2 and errors.count("\n") == 1 and option[0] in errors


@needs_kvm
def test_without_permission(rondo, tmp_path):
    if os.geteuid() != 0 or os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("needs root, and a /dev/kvm that others may not use")
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(rondo, folder)
        guest = shutil.copy(multiboot(tmp_path, PRINT + FINISH + "text: db 'hello', 10, 0\n"), folder)
        result = subprocess.run([copy, "run", "--engine", "kvm", "--kernel", guest], capture_output=True, text=True, user=65534, group=65534, extra_groups=[])
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "may not be used by this user" in result.stderr and "--engine software" in result.stderr


def findings(rondo):
    told = json.loads(subprocess.run([rondo, "doctor", "--json"], capture_output=True, text=True).stdout)
    return {finding["id"]: finding for finding in told["findings"]}


def built_guest(rondo, name):
    guest = rondo.parent / f"tests/guests/{name}.elf"
    if not guest.exists():
        pytest.skip(f"{guest} is not built")
    return guest


@needs_kvm
def test_record_and_replay(command, tmp_path):
    guest = multiboot(tmp_path, TICKING)
    record = ["run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--kick-every", "200us", "--max-wall", "100s"]
    status, console, errors, live = command(*record)
    assert (status, console, errors) == (0, b"ticked\n", "")
    assert live["engine"] == "kvm"
    recording = tmp_path / "rec"
    status, console, errors, recorded = command(*record, "--insist", "--record", recording, "--hash-interval", "5")
    assert (status, console, errors) == (0, b"ticked\n", "")
    for drive in ([], ["--single-step"]):
        status, console, errors, replayed = command("replay", recording, *drive)
        assert (status, console, errors) == (0, b"ticked\n", "")
        assert same_end(recorded, replayed) and replayed["replay"]["complete"]
    status, console, errors, replayed = command("replay", recording, "--engine", "kvm", "--insist")
    assert (status, console, errors) == (0, b"ticked\n", "")
    assert same_end(recorded, replayed) and replayed["replay"]["complete"]
    assert replayed["engine"] == "kvm" and replayed["replay"]["kvm"]["searches"] > 0


@needs_kvm
def test_instructions_are_counted_afterwards(rondo, command, tmp_path):
    """Once, for whatever goes to single instructions; and again if the recording is another one."""
    guest, recording = multiboot(tmp_path, TICKING), tmp_path / "rec"
    record = ["run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--kick-every", "200us", "--max-wall", "100s", "--insist"]
    status, console, _, recorded = command(*record, "--record", recording)
    assert status == 0
    status, said, errors, _ = command("diff", recording, report=False)
    assert status == 0 and b"the replay agrees" in said
    counted = recording / "counted"
    written = (counted / "events.log").stat().st_mtime_ns
    ends = []
    for drive in ([], ["--single-step"]):
        status, replayed_console, errors, replayed = command("replay", counted, *drive)
        assert (status, errors, replayed_console) == (0, "", console) and replayed["replay"]["complete"]
        assert replayed["virtual_ns"] == recorded["virtual_ns"] and replayed["instructions"] > 1000
        # But for the count in the clock it is the same machine.
        assert {k: v for k, v in replayed["components"].items() if k != "clock"} == {k: v for k, v in recorded["components"].items() if k != "clock"}
        ends.append(replayed["state_hash"])
    assert ends[0] == ends[1]
    assert command("diff", recording, recording, report=False)[0] == 0
    assert (counted / "events.log").stat().st_mtime_ns == written
    # It is not part of the recording.
    pack = tmp_path / "pack"
    assert command("pack", recording, pack, report=False)[0] == 0
    assert command("unpack", pack, tmp_path / "unpacked", report=False)[0] == 0
    assert not (tmp_path / "unpacked/counted").exists()
    # What is damaged, or left by a rondo that was killed, or of another recording, is made again.
    (counted / "manifest").write_bytes(b"")
    shutil.copytree(counted, recording / "counted.new")
    assert command("diff", recording, report=False)[0] == 0
    assert command("replay", counted)[3]["state_hash"] == ends[0] and not (recording / "counted.new").exists()
    other = tmp_path / "other"
    assert command(*record, "--record", other)[0] == 0
    shutil.copytree(counted, other / "counted")
    assert command("diff", other, report=False)[0] == 0
    assert b"the recordings differ" in command("diff", recording, other, report=False)[1]


@needs_kvm
def test_what_cannot_be_counted(rondo, command, tmp_path):
    """Where the guest read what no log holds, the counted recording ends, and the debugger says so."""
    if findings(rondo)["rdrand"]["grade"] == "yes":
        pytest.skip("this host's KVM does not let a program execute RDRAND")
    guest, recording = built_guest(rondo, "kvm_rdrand"), tmp_path / "rec"
    assert command("run", "--engine", "kvm", "--kernel", guest, "--memory", "8M", "--record", recording, "--insist")[0] == 0
    with debug(rondo, recording, "--console", "none") as server:
        assert any("it executed 0fc7f0" in line.lower() for line in server.said), server.said
        with server.packets() as packets:
            packets.ask("c")
            assert "instruction " in packets.monitor("when") and "instruction 0," not in packets.monitor("when")
    status, _, errors, _ = command("diff", recording, report=False)
    assert "0fc7f0" in errors.lower()


@needs_kvm
def test_programs_read_the_time_stamp_counter(rondo, command, tmp_path):
    """Where the host helps, RDTSC at CPL 3 is an event as any other; elsewhere the replay names it."""
    recording = tmp_path / "rec"
    guest = built_guest(rondo, "kvm_rdtsc")
    assert command("run", "--engine", "kvm", "--kernel", guest, "--memory", "8M", "--record", recording, "--insist")[0] == 0
    status, _, errors, replayed = command("replay", recording)
    if findings(rondo)["rdtsc"]["grade"] == "yes":
        assert (status, errors) == (0, "") and replayed["replay"]["complete"]
    else:
        assert status == 4 and "reads the time stamp counter at RIP 0x" in errors


@needs_kvm
def test_kicked_in_the_middle_of_system_calls(rondo, command, tmp_path):
    guest = rondo.parent / "tests/guests/kvm_calls.elf"
    if not guest.exists():
        pytest.skip(f"{guest} is not built")
    for n in range(3):
        recording = tmp_path / f"rec{n}"
        status, console, errors, recorded = command(
            "run", "--engine", "kvm", "--kernel", guest, "--memory", "16M", "--kick-every", "50us", "--record", recording, "--insist"
        )
        assert (status, errors) == (0, "") and b"ALL OK" in console, (console, errors)
        status, _, errors, replayed = command("replay", recording)
        assert (status, errors) == (0, "") and same_end(recorded, replayed)


@needs_kvm
def test_unlogged_is_refused_unless_insisted(rondo, command, tmp_path):
    doctor = json.loads(subprocess.run([rondo, "doctor", "--json"], capture_output=True, text=True).stdout)
    grades = {c["id"]: c["grade"] for c in doctor["conclusions"]}
    guest = multiboot(tmp_path, PRINT + FINISH + "text: db 'hello', 10, 0\n")
    recording = tmp_path / "rec"
    status, _, errors, _ = command("run", "--engine", "kvm", "--kernel", guest, "--record", recording)
    if grades["record_kvm"] == "yes":
        assert status == 0
        return
    assert status == 2 and errors.count("\n") == 1 and "--insist" in errors and not recording.exists()
    status, _, errors, _ = command("run", "--engine", "kvm", "--kernel", guest, "--record", recording, "--insist")
    assert (status, errors) == (0, "")
    info = subprocess.run([rondo, "info", recording], capture_output=True, text=True).stdout
    assert "not guaranteed" in info


@needs_kvm
def test_replay_on_kvm_refuses(rondo, command, tmp_path):
    guest = multiboot(tmp_path, PRINT + FINISH + "text: db 'hello', 10, 0\n")
    counted, sampled = tmp_path / "counted", tmp_path / "sampled"
    assert command("run", "--kernel", guest, "--record", counted)[0] == 0
    assert command("run", "--engine", "kvm", "--kernel", guest, "--record", sampled, "--insist")[0] == 0
    doctor = json.loads(subprocess.run([rondo, "doctor", "--json"], capture_output=True, text=True).stdout)
    leaks = {c["id"]: c["grade"] for c in doctor["conclusions"]}["record_kvm"] != "yes"
    refusals = [
        ([counted, "--engine", "kvm", "--insist"], "counted instructions"),
        ([sampled, "--engine", "kvm", "--insist", "--single-step"], "--single-step"),
        ([sampled, "--engine", "kvm", "--insist", "--plant", "clock"], "--plant"),
        ([sampled, "--engine", "kvmm"], "kvmm"),
    ]
    if leaks:
        refusals.append(([sampled, "--engine", "kvm"], "--insist"))
    for arguments, said in refusals:
        status, console, errors, _ = command("replay", *arguments, report=False)
        assert status == 2 and errors.count("\n") == 1 and said in errors and console == b""


@needs_kvm
def test_moments_of_a_replay_on_kvm(command, tmp_path):
    """--to names the same Moment on both engines, and from a checkpoint."""
    guest = multiboot(tmp_path, TICKING)
    recording = tmp_path / "rec"
    status, _, errors, recorded = command(
        "run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--kick-every", "200us", "--record", recording,
        "--insist", "--hash-interval", "4", "--checkpoint-interval", "10",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    last = recorded["instructions"]
    for to in ("3", "13", str(last - 1), "end-5", f"{recorded['virtual_ns'] // 2}ns", "event:7", "end-1ms"):
        software = command("replay", recording, "--to", to)
        kvm = command("replay", recording, "--to", to, "--engine", "kvm", "--insist")
        assert software[0] == kvm[0] == 3, software[2] + kvm[2]
        assert software[3]["exit"] == kvm[3]["exit"] == "target"
        assert same_end(software[3], kvm[3]), to
        if to.startswith("event:"):
            assert software[3]["replay"]["next_event"] == kvm[3]["replay"]["next_event"] == 7


@needs_kvm
def test_interrupted_replay_on_kvm(rondo, command, tmp_path):
    """A guest without events does not keep a replay from being stopped."""
    guest = multiboot(tmp_path, "\n  mov ecx, 300000000\n.on:\n  dec ecx\n  jnz .on\n" + FINISH)
    recording, report = tmp_path / "rec", tmp_path / "stopped.json"
    status, _, errors, recorded = command("run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--record", recording, "--insist")
    assert (status, errors) == (0, "")
    replay = [rondo, "replay", recording, "--engine", "kvm", "--insist", "--report", report]
    process = subprocess.Popen([str(a) for a in replay], stdin=subprocess.DEVNULL)
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=100)
    replayed = json.loads(report.read_text()) if report.exists() else None
    # Before it began to listen, in the middle, or too late.
    if replayed:
        assert (status, replayed["exit"]) in ((1, "stopped"), (0, recorded["exit"]))
        assert replayed["exit"] != "stopped" or replayed["instructions"] == 0
    else:
        assert status == -signal.SIGINT


@needs_kvm
def test_killed_while_recording(rondo, command, tmp_path):
    guest = multiboot(tmp_path, TICKING.replace("cmp dword [ticks], 5\n", "cmp dword [ticks], 2000000\n"))
    recording = tmp_path / "rec"
    process = subprocess.Popen(
        [rondo, "run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--record", recording, "--insist", "--hash-interval", "5"],
        stdin=subprocess.DEVNULL,
    )
    log = recording / "events.log"
    deadline = time.monotonic() + 60
    while (not log.exists() or log.stat().st_size < 2000) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    status, _, errors, replayed = command("replay", recording)
    assert status == 3, errors
    assert replayed["exit"] == "recording_cut_off" and replayed["replay"]["hashes_checked"] > 0


@needs_kvm
def test_limits_end_a_guest_without_events(command, tmp_path):
    guest = multiboot(tmp_path, "\n.forever:\n  inc ebx\n  jmp .forever\n")
    recording = tmp_path / "rec"
    status, _, errors, recorded = command(
        "run", "--engine", "kvm", "--kernel", guest, "--memory", "4M", "--max-wall", "200ms", "--record", recording, "--insist"
    )
    assert (status, errors) == (3, "") and recorded["exit"] == "wall_limit"
    status, _, errors, replayed = command("replay", recording)
    assert (status, errors) == (3, "")
    assert replayed["state_hash"] == recorded["state_hash"]


@needs_kvm
@pytest.mark.parametrize("userland", ["one program", "busybox"])
def test_linux(rondo, command, kernel, initramfs, tmp_path, slow, userland):
    """Debian's kernel to a program that computes, forks, reads the clock and powers off; or to busybox, whose glibc asks CPUID."""
    if not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    initrd = initramfs if userland == "busybox" else compiled_init("kvm_init.c", tmp_path)
    recording = tmp_path / "rec"
    status, console, errors, recorded = command(
        "run", "--engine", "kvm", "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0 panic=-1",
        "--record", recording, "--insist", "--hash-interval", "2k", "--checkpoint-interval", "10k", "--max-wall", "500s",
    )  # fmt: skip
    assert (status, errors) == (0, "") and recorded["exit"] == "power_off"
    assert (b"rondo: awk over 2000 sorted numbers says 29835" if userland == "busybox" else b"ALL OK") in console
    status, replayed_console, errors, replayed = command("replay", recording)
    assert (status, errors) == (0, "") and replayed["replay"]["complete"]
    assert same_end(recorded, replayed) and replayed_console == console
    status, replayed_console, errors, on_kvm = command("replay", recording, "--engine", "kvm", "--insist")
    assert (status, errors) == (0, "") and on_kvm["replay"]["complete"]
    assert same_end(recorded, on_kvm) and replayed_console == console
    assert on_kvm["replay"]["kvm"]["user_entries"] > 100  # its programs did run there
    # From checkpoints.
    total = recorded["instructions"]
    for part in (3, 2):
        straight = command("replay", recording, "--to", total // part + 7)[3]
        assert straight["exit"] == "target" and straight["instructions"] == total // part + 7
        assert same_end(straight, command("replay", recording, "--to", total // part + 7, "--engine", "kvm", "--insist")[3])
    print(f"recorded in {recorded['wall_s']:.1f} s, replayed in {replayed['wall_s']:.1f} s, on KVM in {on_kvm['wall_s']:.1f} s: {on_kvm['replay']['kvm']}")
