"""How a run can end, its limits, its console and its trace, with guests of a few instructions."""

import os
import re
import signal
import subprocess
import time

import pytest

from guests import PRINT, multiboot


def test_debug_exit(run, tmp_path):
    guest = multiboot(tmp_path, PRINT + "mov al, 21\n out 0xf4, al\n hlt\n text: db 'hello', 10, 0\n")
    outcome = run("--kernel", guest, "--memory", "4M")
    assert (outcome.status, outcome.report["exit"], outcome.report["debug_exit_code"]) == (0, "debug_exit", 43)
    assert outcome.console == b"hello\n"
    assert outcome.errors == ""
    assert outcome.report["instructions"] == 1 + 6 * 6 + 3 + 2, "the text, its end, and leaving"
    assert outcome.report["image"] == "multiboot"


def test_console_is_exact(run, tmp_path):
    guest = multiboot(tmp_path, "mov dx, 0x3f8\n xor eax, eax\n .next: out dx, al\n inc al\n jnz .next\n out 0xf4, al\n hlt\n")
    assert run("--kernel", guest, "--memory", "4M").console == bytes(range(256))
    out = tmp_path / "console"
    assert run("--kernel", guest, "--memory", "4M", "--console", out).console == b""
    assert out.read_bytes() == bytes(range(256))
    assert run("--kernel", guest, "--memory", "4M", "--console", "none").console == b""


@pytest.mark.parametrize(
    "body, reason, status",
    [
        ("mov dx, 0xcf9\n mov al, 6\n out dx, al\n jmp $", "reset", 0),
        ("mov al, 0xfe\n out 0x64, al\n jmp $", "reset", 0),
        ("lidt [none]\n int3\n none: dw 0\n dd 0", "reset", 0),
        ("lidt [bad]\n ud2\n bad: dw 0xffff\n dd 0xfffff000", "triple_fault", 5),
        ("mov esp, 0\n mov eax, [0xffffffff]\n ud2\n", "triple_fault", 5),
        ("cli\n hlt", "halted", 5),
        ("mov dx, 0x604\n mov ax, 0x3400\n out dx, ax\n jmp $", "power_off", 0),
    ],
)
def test_ends(run, tmp_path, body, reason, status):
    outcome = run("--kernel", multiboot(tmp_path, body), "--memory", "4M", "--max-instructions", "1000", "--console", "none")
    assert (outcome.report["exit"], outcome.status) == (reason, status)
    assert (outcome.errors != "") == (status == 5)


ENDLESS = "mov ecx, 0\n .next: inc ecx\n jmp .next\n"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 999_999, 12_345_678])
def test_instruction_limit_is_exact(run, tmp_path, count):
    outcome = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--max-instructions", count)
    assert (outcome.status, outcome.report["exit"], outcome.report["instructions"]) == (3, "instruction_limit", count)
    stepped = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--max-instructions", min(count, 1_000_000), "--single-step")
    if count <= 1_000_000:
        assert stepped.report["state_hash"] == outcome.report["state_hash"]


def test_time_limit_is_exact(run, tmp_path):
    outcome = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--max-time", "1.5ms")
    assert (outcome.status, outcome.report["exit"], outcome.report["virtual_ns"]) == (3, "time_limit", 1_500_000)


def test_wall_limit(run, tmp_path):
    start = time.monotonic()
    outcome = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--max-wall", "300ms")
    assert (outcome.status, outcome.report["exit"]) == (3, "wall_limit")
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_run_in_order(rondo, tmp_path, number):
    report = tmp_path / "report.json"
    process = subprocess.Popen(
        [str(rondo), "run", "--kernel", str(multiboot(tmp_path, ENDLESS)), "--memory", "4M", "--report", str(report)], stdin=subprocess.DEVNULL
    )
    time.sleep(1)
    process.send_signal(number)
    assert process.wait(timeout=30) == 1
    assert '"exit": "stopped"' in report.read_text()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("report")] == ["report.json"]


def test_a_closed_console_ends_the_run(rondo, tmp_path):
    guest = multiboot(tmp_path, "mov dx, 0x3f8\n .next: out dx, al\n jmp .next\n")
    read, write = os.pipe()
    process = subprocess.Popen(
        [str(rondo), "run", "--kernel", str(guest), "--memory", "4M"], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    os.read(read, 10)
    os.close(read)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert errors.startswith(b"rondo: console") and errors.count(b"\n") == 1


def test_trace(run, tmp_path):
    trace = tmp_path / "trace"
    outcome = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--trace", f"1..5={trace}", "--max-instructions", "10")
    assert outcome.status == 3
    lines = trace.read_text().splitlines()
    assert len(lines) == 4
    assert re.match(r" *1 0000000000100025  inc ecx +rcx=1", lines[0])
    assert re.match(r" *2 0000000000100026  jmp 0x100025", lines[1])
    # A trace does not change the run.
    untraced = run("--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--max-instructions", "10")
    assert untraced.report["state_hash"] == outcome.report["state_hash"]


def test_unsupported_instructions_are_reported(run, tmp_path):
    # VADDPS with no AVX, under an IDT whose #UD handler leaves through the exit port.
    body = """
      lgdt [.gdtr]
      mov word [.idt + 6 * 8], .handler - 0x100000
      mov word [.idt + 6 * 8 + 2], 0x10
      mov word [.idt + 6 * 8 + 4], 0x8e00
      mov word [.idt + 6 * 8 + 6], 0x10
      lidt [.idtr]
      db 0xc5, 0xf0, 0x58, 0xc2
    .handler:
      out 0xf4, al
      hlt
    .gdtr: dw 0x1f
           dd .gdt
    .idtr: dw 0x7ff
           dd .idt
    align 8
    .gdt: dq 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
    .idt: times 256 dq 0
    """
    outcome = run("--kernel", multiboot(tmp_path, body), "--memory", "4M")
    assert outcome.report["exit"] == "debug_exit"
    assert len(outcome.report["unsupported"]) == 1
    assert outcome.report["unsupported"][0]["bytes"].replace(" ", "").startswith("c5f058c2")
    assert outcome.report["unsupported"][0]["times"] == 1
    assert outcome.errors.count("\n") == 1 and "does not have" in outcome.errors


ECHO = """
  mov dx, 0x3fc
  mov al, 3            ; DTR, RTS: input is welcome
  out dx, al
.wait:
  mov dx, 0x3fd
  in al, dx
  test al, 1
  jz .wait
  mov dx, 0x3f8
  in al, dx
  cmp al, 'q'
  je .leave
  out dx, al
  jmp .wait
.leave:
  out 0xf4, al
"""


def test_piped_input(run, tmp_path):
    guest = multiboot(tmp_path, ECHO)
    text = bytes(b for b in range(256) if b != ord("q"))
    outcomes = [run("--kernel", guest, "--memory", "4M", input=text + b"q") for _ in range(2)]
    assert outcomes[0].console == text
    assert outcomes[0].report["exit"] == "debug_exit"


def test_input_from_a_file_is_deterministic(rondo, tmp_path):
    guest, keys = multiboot(tmp_path, ECHO), tmp_path / "keys"
    keys.write_bytes(b"some input\n" * 10 + b"q")
    hashes = set()
    for n in range(3):
        report = tmp_path / f"r{n}.json"
        with keys.open("rb") as source:
            subprocess.run(
                [str(rondo), "run", "--kernel", str(guest), "--memory", "4M", "--report", str(report)], stdin=source, capture_output=True, timeout=60
            )
        hashes.add(re.search(r'"state_hash": "(\w+)"', report.read_text())[1])
    assert len(hashes) == 1


def test_end_of_input_does_not_end_the_run(run, tmp_path):
    assert run("--kernel", multiboot(tmp_path, ECHO), "--memory", "4M", "--max-instructions", "3M", input=b"abc").console == b"abc"


def test_saved_and_restored(rondo, run, tmp_path):
    guest, saved = multiboot(tmp_path, ENDLESS), tmp_path / "saved"
    whole = run("--kernel", guest, "--memory", "4M", "--max-instructions", "5000")
    first = run("--kernel", guest, "--memory", "4M", "--max-instructions", "5000", "--save-at", "1234", "--save-to", saved)
    second = run("--restore", saved, "--max-instructions", "5000")
    assert whole.report["state_hash"] == first.report["state_hash"] == second.report["state_hash"]
    saved.write_bytes(saved.read_bytes()[:-1])
    broken = run("--restore", saved)
    assert broken.status == 2 and broken.errors.count("\n") == 1


def test_closed_standard_descriptors(rondo, tmp_path):
    guest, report = multiboot(tmp_path, "mov al, 1\n out 0xf4, al\n"), tmp_path / "report.json"
    command = f"'{rondo}' run --kernel '{guest}' --memory 4M --report '{report}' <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60).returncode == 0
    assert '"exit": "debug_exit"' in report.read_text()
