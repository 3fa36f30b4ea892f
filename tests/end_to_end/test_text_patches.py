"""A kernel whose code runs on KVM has its RDTSC replaced; the recording says so and replays. docs/kvm.md has the why."""

import json
import os
import pathlib
import struct
import subprocess

import pytest

# A Linux kernel in the eyes of the loader: an ELF64 file that starts in 64-bit mode. It prints "ok" if time goes on, and a data byte sequence
# that looks like RDTSC.
KERNEL = """
bits 64
section .text
global _start
_start:
  mov rsp, 0x90000
  mov ebx, 0x310f310f
  mov r15d, 100
  xor r14, r14
.again:
  rdtsc
  shl rdx, 32
  or rax, rdx
  cmp rax, r14
  jb .bad
  mov r14, rax
  rdtscp
  shl rdx, 32
  or rax, rdx
  cmp rax, r14
  jb .bad
  mov r14, rax
  test ecx, ecx
  jnz .bad
  dec r15d
  jnz .again
  cmp ebx, 0x310f310f
  jne .bad
  cmp dword [rel stamp], 0x310f310f
  jne .bad
  mov esi, good
  jmp .print
.bad:
  mov esi, wrong
.print:
  lodsb
  test al, al
  jz .done
  mov dx, 0x3f8
  out dx, al
  jmp .print
.done:
  mov dx, 0xf4
  xor eax, eax
  out dx, al
  hlt
section .data
stamp: dd 0x310f310f
good: db 'ok', 10, 0
wrong: db 'bad', 10, 0
"""
PATCHES = {"RDTSC": 1, "RDTSCP": 1}


@pytest.fixture
def on_kvm(rondo, tmp_path):
    """Runs a rondo command with a report: (exit status, console, errors, report)."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")

    def command(*arguments):
        path = tmp_path / "report.json"
        path.unlink(missing_ok=True)
        process = subprocess.run([str(a) for a in (rondo, *arguments, "--report", path)], capture_output=True, timeout=500, stdin=subprocess.DEVNULL)
        return process.returncode, process.stdout, process.stderr.decode(), json.loads(path.read_text()) if path.exists() else None

    return command


@pytest.fixture
def guest(tmp_path) -> pathlib.Path:
    source, linked = tmp_path / "guest.asm", tmp_path / "guest.elf"
    source.write_text(KERNEL)
    subprocess.run(["nasm", "-f", "elf64", "-o", tmp_path / "guest.o", source], check=True)
    subprocess.run(["ld", "-z", "noexecstack", "-Ttext=0x1000000", "-Tdata=0x1010000", "-o", linked, tmp_path / "guest.o"], check=True)
    return linked


def record(on_kvm, guest, recording):
    return on_kvm("run", "--engine", "kvm", "--kernel-on-kvm", "--kernel", guest, "--memory", "32M", "--max-wall", "100s", "--record", recording, "--insist")


def info(rondo, recording):
    return json.loads(subprocess.run([rondo, "info", "--json", recording], capture_output=True, text=True).stdout)


def test_recorded_with_the_kernel_on_kvm(rondo, on_kvm, guest, tmp_path):
    recording = tmp_path / "rec"
    status, console, errors, recorded = record(on_kvm, guest, recording)
    assert (status, console, errors) == (0, b"ok\n", "")
    assert recorded["text_patches"] == PATCHES
    about = info(rondo, recording)
    assert [(p["original"], p["replacement"]) for p in about["machine"]["text_patches"]] == [("0f31", "e6e4"), ("0f01f9", "66e7e4")]
    assert any("a kernel module or a program uses RDTSC" in mark for mark in about["marks"])
    text = subprocess.run([rondo, "info", recording], capture_output=True, text=True).stdout
    assert "2 instructions replaced: 1 RDTSC, 1 RDTSCP" in text
    for drive in ([], ["--single-step"], ["--engine", "kvm", "--insist"]):
        status, console, errors, replayed = on_kvm("replay", recording, *drive)
        assert (status, console, errors) == (0, b"ok\n", "")
        assert replayed["state_hash"] == recorded["state_hash"] and replayed["replay"]["complete"]


def test_without_sections_the_recording_says_so(rondo, on_kvm, guest, tmp_path):
    image = bytearray(guest.read_bytes())
    struct.pack_into("<H", image, 60, 0)  # e_shnum
    guest.write_bytes(image)
    recording = tmp_path / "rec"
    status, _, errors, recorded = record(on_kvm, guest, recording)
    assert (status, errors) == (0, "") and "text_patches" not in recorded
    about = info(rondo, recording)
    assert about["machine"]["text_patches"] == []
    assert any("does not say where its code is" in mark for mark in about["marks"])
    status, _, errors, _ = on_kvm("replay", recording)
    assert status == 4 and "reads the time stamp counter" in errors


def test_where_the_software_engine_runs_the_kernel_nothing_is_replaced(on_kvm, guest):
    for engine in ("software", "kvm"):
        status, console, errors, report = on_kvm("run", "--engine", engine, "--kernel", guest, "--memory", "32M", "--max-wall", "100s")
        assert (status, console, errors) == (0, b"ok\n", "")
        assert engine == "kvm" or "text_patches" not in report


def test_debians_kernel_on_kvm(on_kvm, kernel, tmp_path, slow):
    """Its first minute, all on KVM, also where that emulates it: replays bit for bit up to wherever it got."""
    if not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    recording = tmp_path / "rec"
    arguments = ["--engine", "kvm", "--kernel-on-kvm", "--kernel", kernel, "--max-wall", "60s", "--console", "none", "--record", recording, "--insist"]
    _, _, errors, recorded = on_kvm("run", *arguments, "--append", "console=ttyS0 panic=-1", "--hash-interval", "50")
    assert errors == "" and recorded["text_patches"]["RDTSC"] > 50
    _, _, errors, replayed = on_kvm("replay", recording, "--console", "none")
    assert errors == "" and replayed["replay"]["complete"]
    for key in ("exit", "instructions", "virtual_ns", "state_hash"):
        assert replayed[key] == recorded[key]


def unit_tests(program, pattern):
    """Those that need a kernel, here where one is at hand."""
    path = pathlib.Path(os.environ.get("RONDO_BUILD", "build")) / "release/tests" / program
    if not path.exists():
        pytest.skip(f"{program} is not built")
    result = subprocess.run([path, f"--gtest_filter={pattern}"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    if "[       OK ]" not in result.stdout:
        pytest.skip("; ".join(line for line in result.stdout.splitlines() if "names no kernel" in line or "KVM" in line or "objdump" in line))


def test_sites_in_debians_kernels_are_objdumps(slow):
    unit_tests("harness_tests", "Debian/RealKernel.*" if slow else "Debian/RealKernel.*/0")


def test_debians_kernel_in_stages(slow):
    """At several stages of its boot all code runs on KVM, in between in software."""
    unit_tests("core_kvm_tests", "PatchedKernel.*" if slow else "PatchedKernel.Runs*")
