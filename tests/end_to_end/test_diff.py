"""`rondo diff`: the first instruction at which two executions differ. Differences are planted (harness/recordings/plant.h)."""

import json
import random
import re
import shutil
import subprocess

import pytest

from guests import multiboot
from test_record_replay import type_at_random_times
from test_small_guests import ECHO

# Computes, stores, takes timer interrupts, and idles now and then.
TICKING = """
  lgdt [gdtr]
  jmp 8:.flat
.flat:
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, 0x180000
  mov eax, tick
  mov [idt + 0x20 * 8], ax
  mov word [idt + 0x20 * 8 + 2], 8
  mov word [idt + 0x20 * 8 + 4], 0x8e00
  shr eax, 16
  mov [idt + 0x20 * 8 + 6], ax
  lidt [idtr]
  mov al, 0x11         ; the 8259: vectors from 0x20, only the timer
  out 0x20, al
  mov al, 0x20
  out 0x21, al
  mov al, 4
  out 0x21, al
  mov al, 1
  out 0x21, al
  mov al, 0xfe
  out 0x21, al
  mov al, 0x34         ; the 8254: every 100 of its ticks
  out 0x43, al
  mov al, 100
  out 0x40, al
  xor al, al
  out 0x40, al
  sti
  mov ebx, 0x12345
.work:
  mov edi, 0x120000
  mov ecx, 4096
.next:
  imul ebx, ebx, 1664525
  add ebx, 1013904223
  mov [edi], ebx
  add edi, 4
  dec ecx
  jnz .next
  inc dword [rounds]
  test dword [rounds], 7
  jnz .work
  hlt
  jmp .work
tick:
  push eax
  inc dword [ticks]
  mov al, 0x20
  out 0x20, al
  pop eax
  iretd
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr: dw 23
  dd gdt
idtr: dw 0x21 * 8 - 1
  dd idt
rounds: dd 0
ticks: dd 0
idt: times 0x21 dq 0
"""

# Reads a port of the host's clock after {delay} turns of a loop, and goes on.
CLOCK = """
  mov ebp, {delay}
.wait:
  dec ebp
  jnz .wait
  mov dx, 0x5f0
  in eax, dx
  mov ebx, eax
.on:
  inc ecx
  jmp .on
"""
CLOCK_BEFORE = 2  # `mov ebp` and `mov dx`; the loop is two instructions per turn
CLOCK_RIP = 0x100020 + 5 + 1 + 2 + 4  # 32-bit code: mov ebp, imm32; dec; jnz; mov dx, imm16


class Diff:
    def __init__(self, status, output, errors):
        self.status, self.errors = status, errors
        self.result = json.loads(output) if output.startswith("{") else None
        self.found = self.result and self.result.get("divergence")


@pytest.fixture
def diff(rondo):
    def diff(*arguments, timeout=580):
        process = subprocess.run([str(rondo), "diff", "--json", *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
        return Diff(process.returncode, process.stdout, process.stderr)

    return diff


@pytest.fixture
def record(rondo, tmp_path):
    """Records a run into a new directory; gives it and what standard error says of planted faults."""

    def record(kernel, *arguments, name=None, timeout=580):
        directory = tmp_path / (name or f"rec{len(list(tmp_path.iterdir()))}")
        process = subprocess.run(
            [str(rondo), "run", "--kernel", str(kernel), "--console", "none", "--record", str(directory), *map(str, arguments)], capture_output=True, text=True, timeout=timeout
        )
        assert process.returncode in (0, 3, 5), process.stderr
        return directory, process.stderr

    return record


@pytest.fixture
def does_nothing(rondo):
    """Whether a fault leaves no trace at the state hashes: the wrong value was overwritten before anybody looked at it."""

    def does_nothing(directory, fault):
        arguments = [str(rondo), "replay", str(directory), "--console", "none", "--plant", fault]
        status = subprocess.run(arguments, stderr=subprocess.DEVNULL, check=False).returncode
        assert status in (3, 4)
        return status != 4

    return does_nothing


def expect_memory(found, told):
    count, address, bit, rip = re.search(r"memory@(\d+):0x([0-9a-f]+)\.(\d): RIP 0x([0-9a-f]+)", told).groups()
    assert found["cause"] == "entered", found
    assert found["last_equal"]["count"] == found["first_different"]["count"] == int(count)
    assert found["rip"] == int(rip, 16)
    assert found["components"] == ["memory"] and found["registers"] == [] and found["pages"] == 1
    (page,) = found["memory"]
    assert (page["address"], page["a"] ^ page["b"], page["bytes_of_page"]) == (int(address, 16), 1 << int(bit), 1)


def expect_alu(found, told):
    bit, count, rip = re.search(r"alu@\d+:(\d+): instruction (\d+) at RIP 0x([0-9a-f]+)", told).groups()
    assert found["cause"] == "instruction", found
    assert found["last_equal"]["count"] == int(count) - 1 and found["first_different"]["count"] == int(count)
    assert found["rip"] == int(rip, 16)
    assert found["components"] == ["vcpu0"] and found["memory"] == []
    (register,) = found["registers"]
    assert int(register["a"], 16) ^ int(register["b"], 16) == 1 << int(bit)


EXPECT = {"memory": expect_memory, "alu": expect_alu}


def faults(seed, places, last, bits):
    """Switches for `places` faults of both kinds, spread over (0, last)."""
    rng = random.Random(seed)
    for place in range(places):
        count = rng.randrange(1000, last)
        kind = ("memory", "alu")[place % 2]
        yield kind, f"memory@{count}" if kind == "memory" else f"alu@{count}:{rng.randrange(bits)}"


TICKING_ARGUMENTS = ["--memory", "4M", "--hash-interval", "1M", "--max-instructions", "12M"]


def test_planted_faults_in_a_guest_with_interrupts(record, diff, does_nothing, tmp_path, slow):
    kernel = multiboot(tmp_path, TICKING)
    clean, _ = record(kernel, *TICKING_ARGUMENTS)
    assert diff(clean).status == 0
    found = {"memory": 0, "alu": 0}
    wanted = 5 if slow else 2
    for kind, fault in faults(1, 40, 11_900_000, 31):
        if found[kind] == wanted:
            continue
        bad, told = record(kernel, *TICKING_ARGUMENTS, "--plant", fault)
        if does_nothing(clean, fault):
            assert diff(clean, bad).status == 0
            continue
        found[kind] += 1
        # Two recordings, in both orders; and one as it was, against its replay.
        for arguments in ([clean, bad], [bad, clean], [bad]):
            outcome = diff(*arguments)
            assert outcome.status == 4, (fault, outcome.errors)
            EXPECT[kind](outcome.found, told)
        # A fault that comes once in a replay, and never again.
        outcome = diff(clean, "--plant-a", fault)
        assert outcome.status == 4 and "two replays differ" in outcome.result["conclusion"]
        EXPECT[kind](outcome.found, told)
        if kind == "alu":  # always there, but on the fast drive only
            outcome = diff(clean, "--plant-a", fault, "--plant-b", fault)
            assert outcome.status == 4 and "reference drive" in outcome.result["conclusion"]
            expect_alu(outcome.found, told)
        else:  # in every replay: nothing tells which of them is right
            outcome = diff(clean, "--plant-a", fault, "--plant-b", fault)
            assert outcome.status == 4 and outcome.found is None
            assert "all replays agree" in outcome.result["conclusion"] and outcome.result["components"] == ["memory"]
            count = int(re.search(r"memory@(\d+)", fault).group(1))
            assert outcome.result["last_equal_hash"] <= count <= outcome.result["reach"]
    assert found == {"memory": wanted, "alu": wanted}


def test_only_the_recorded_run_differed(record, diff, tmp_path):
    """What its checkpoint says is compared with what all replays say."""
    kernel = multiboot(tmp_path, TICKING)
    recording, _ = record(kernel, *TICKING_ARGUMENTS, "--checkpoint-interval", "3M")
    fault = "memory@4500123:0x3000.6"
    outcome = diff(recording, "--plant-a", fault, "--plant-b", fault)
    found = outcome.found
    assert outcome.status == 4 and "all replays agree" in outcome.result["conclusion"]
    assert (outcome.result["last_equal_hash"], outcome.result["reach"]) == (4_000_000, 5_000_000)
    assert (found["cause"], found["first_different"]["count"]) == ("interval", 6_000_000)
    assert found["components"] == ["memory"] and found["registers"] == []
    assert found["memory"] == [{"address": 0x3000, "before": 0, "a": 0, "b": 0x40, "bytes_of_page": 1}]
    # Searches start at checkpoints, too.
    bad, told = record(kernel, *TICKING_ARGUMENTS, "--checkpoint-interval", "3M", "--plant", "alu@10000001:3")
    for arguments in ([recording, bad], [bad]):
        expect_alu(diff(*arguments).found, told)


def test_a_device_that_reads_the_hosts_clock(record, diff, tmp_path, slow):
    rng = random.Random(2)
    for _ in range(10 if slow else 4):
        delay = rng.randrange(1, 1_500_000)
        kernel = multiboot(tmp_path, CLOCK.format(delay=delay))
        arguments = ["--memory", "4M", "--hash-interval", "1M", "--max-instructions", "4M", "--plant", "clock"]
        first, _ = record(kernel, *arguments)
        second, _ = record(kernel, *arguments)
        for recordings in ([first], [first, second]):
            outcome = diff(*recordings)
            assert outcome.status == 4, outcome.errors
            found = outcome.found
            assert found and found["cause"] == "instruction", outcome.result
            assert found["first_different"]["count"] == CLOCK_BEFORE + 2 * delay + 1
            assert (found["rip"], found["instruction"]) == (CLOCK_RIP, "in eax, dx")
            assert found["components"] == ["vcpu0"] and [r["name"] for r in found["registers"]] == ["rax"]


def test_typed_input(rondo, record, diff, tmp_path):
    kernel = multiboot(tmp_path, ECHO)
    recordings = []
    for seed in (1, 2):
        directory = tmp_path / f"typed{seed}"
        text = bytes(random.Random(seed).choice(b"abcdefgh ") for _ in range(40)) + b"q"
        arguments = [str(rondo), "run", "--kernel", str(kernel), "--memory", "4M", "--record", str(directory), "--hash-interval", "1M"]
        status, _ = type_at_random_times(arguments, text, seed=seed, pause=0.02)
        assert status == 0
        recordings.append(directory)
    assert [diff(r).status for r in recordings] == [0, 0]
    # They part where the first thing was typed into either of them.
    outcome = diff(*recordings)
    found, events = outcome.found, outcome.result["events"]
    assert outcome.status == 4 and found["cause"] == "entered", outcome.result
    assert "uart0" in found["components"]
    assert events[-1]["kind"] == "console-input" and events[-1]["count"] == found["last_equal"]["count"]
    # A fault in the replay of typed input, after some of it.
    end = json.loads(subprocess.run([str(rondo), "info", "--json", str(recordings[0])], capture_output=True, check=False).stdout)["end"]["instructions"]
    fault = f"memory@{end // 2}:0x2000.3"
    outcome = diff(recordings[0], "--plant-a", fault)
    assert outcome.status == 4 and outcome.found["last_equal"]["count"] == end // 2
    assert outcome.found["components"] == ["memory"] and outcome.found["memory"][0]["address"] == 0x2000
    assert all(e["count"] <= end // 2 for e in outcome.result["events"])


def test_different_machines(record, diff, tmp_path):
    kernel = multiboot(tmp_path, TICKING)
    limit = ["--hash-interval", "1M", "--max-instructions", "2M"]
    one, _ = record(kernel, "--memory", "4M", *limit)
    assert diff(one, one).status == 0
    # The guest never looks at its seed, and its clock starts elsewhere.
    seeded, _ = record(kernel, "--memory", "4M", "--seed", "5", *limit)
    outcome = diff(one, seeded)
    assert outcome.status == 4 and outcome.found is None
    assert [c["name"] for c in outcome.result["configuration"]] == ["seed"]
    late, _ = record(kernel, "--memory", "4M", "--rtc-start", "2024-02-29", *limit)
    outcome = diff(one, late)
    assert outcome.status == 4 and outcome.found["cause"] == "start"
    assert outcome.found["components"] == ["rtc"] or "rtc" in " ".join(outcome.found["components"])
    other, _ = record(multiboot(tmp_path, "  nop\n" + TICKING, name="other"), "--memory", "8M", *limit)
    outcome = diff(one, other)
    assert outcome.status == 4 and {c["name"] for c in outcome.result["configuration"]} == {"memory", "kernel"}
    assert outcome.found["cause"] == "start" and "memory" in outcome.found["components"]


def test_other_intervals_and_lengths(record, diff, tmp_path):
    """Without a state hash in common, the runs are compared as they go."""
    kernel = multiboot(tmp_path, TICKING)
    clean, _ = record(kernel, "--memory", "4M", "--hash-interval", "1M", "--max-instructions", "5M")
    longer, _ = record(kernel, "--memory", "4M", "--hash-interval", "700001", "--max-instructions", "6M")
    unhashed, _ = record(kernel, "--memory", "4M", "--hash-interval", "0", "--max-instructions", "4M")
    for pair in ([clean, longer], [unhashed, clean], [longer, unhashed]):
        outcome = diff(*pair)
        assert outcome.status == 0, outcome.result
    bad, told = record(kernel, "--memory", "4M", "--hash-interval", "0", "--max-instructions", "5500k", "--plant", "alu@3333333:4")
    for pair in ([clean, bad], [bad, longer], [unhashed, bad]):
        outcome = diff(*pair)
        assert outcome.status == 4
        expect_alu(outcome.found, told)


def test_unfinished_and_damaged(record, diff, tmp_path):
    kernel = multiboot(tmp_path, TICKING)
    clean, _ = record(kernel, *TICKING_ARGUMENTS)
    bad, told = record(kernel, *TICKING_ARGUMENTS, "--plant", "memory@1500000:0x3000.5")
    log = (clean / "events.log").read_bytes()
    # Cut off: agrees as far as it goes.
    cut = tmp_path / "cut"
    shutil.copytree(clean, cut)
    (cut / "events.log").write_bytes(log[: len(log) - 100])
    (cut / "index").unlink(missing_ok=True)
    for arguments in ([cut], [cut, clean], [clean, cut]):
        outcome = diff(*arguments)
        assert outcome.status == 0, (outcome.result, outcome.errors)
    # Not a recording, or none any more: one line.
    empty = tmp_path / "empty"
    empty.mkdir()
    headless = tmp_path / "headless"
    shutil.copytree(clean, headless)
    (headless / "manifest").write_bytes((clean / "manifest").read_bytes()[:40])
    imageless = tmp_path / "imageless"
    shutil.copytree(clean, imageless)
    shutil.rmtree(imageless / "blobs")
    for arguments in ([empty], [tmp_path / "nothing"], [headless], [kernel], [imageless], [clean, empty], [headless, clean]):
        outcome = diff(*arguments)
        assert outcome.status == 2 and outcome.errors.startswith("rondo: ") and outcome.errors.count("\n") == 1, (arguments, outcome.errors)
    outcome = diff(imageless, bad)
    assert outcome.status == 2 and outcome.errors.count("\n") == 1


def test_bad_usage(rondo, tmp_path):
    for arguments in ([], ["a", "b", "c"], ["a", "--plant-a", "memory"], ["a", "--plant-a", "alu@0"], ["a", "--plant-a", "alu@5:64"], ["a", "--plant-b", "memory@5:77"]):
        process = subprocess.run([str(rondo), "diff", *arguments], capture_output=True, text=True)
        assert process.returncode == 2 and process.stdout == "" and process.stderr.count("\n") == 1, process.stderr


def test_text(rondo, record, tmp_path):
    kernel = multiboot(tmp_path, TICKING)
    clean, _ = record(kernel, *TICKING_ARGUMENTS)
    bad, _ = record(kernel, *TICKING_ARGUMENTS, "--plant", "alu@2345678:3")
    process = subprocess.run([str(rondo), "diff", str(clean), str(bad)], capture_output=True, text=True)
    assert process.returncode == 4
    for part in ("the recordings differ\n", "last equal:      instruction 2345677, ", "first different: instruction 2345678, ", "instruction:     0x1000", "components:      vcpu0\n", "registers:\n"):
        assert part in process.stdout, process.stdout


def test_planted_faults_in_a_debian_boot(record, diff, does_nothing, kernel, initramfs, slow):
    arguments = ["--initrd", initramfs, "--append", "console=ttyS0 reboot=t panic=-1", "--hash-interval", "20M", "--max-instructions", "90M"]
    clean, _ = record(kernel, *arguments)
    assert diff(clean).status == 0
    found = {"memory": 0, "alu": 0}
    wanted = 5 if slow else 1
    for kind, fault in faults(3, 40, 80_000_000, 63):
        if found[kind] == wanted:
            continue
        if does_nothing(clean, fault):
            continue
        bad, told = record(kernel, *arguments, "--plant", fault)
        outcome = diff(clean, bad)
        shutil.rmtree(bad)
        assert outcome.status == 4, outcome.errors
        EXPECT[kind](outcome.found, told)
        if found[kind] == 0:
            outcome = diff(clean, "--plant-a", fault)
            assert outcome.status == 4
            EXPECT[kind](outcome.found, told)
        found[kind] += 1
    assert found == {"memory": wanted, "alu": wanted}
