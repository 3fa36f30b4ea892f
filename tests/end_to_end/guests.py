"""Tiny bare-metal guests, assembled when a test needs them."""

import pathlib
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

_PROLOGUE = """
bits 32
org 0x100000
header:
  dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
  dd header, header, 0, 0, start
start:
"""


def multiboot(directory: pathlib.Path, body: str, name: str = "guest") -> pathlib.Path:
    """A 32-bit multiboot kernel that runs this NASM text."""
    source, binary = directory / f"{name}.asm", directory / f"{name}.bin"
    source.write_text(_PROLOGUE + body)
    try:
        subprocess.run(["nasm", "-f", "bin", "-o", str(binary), str(source)], check=True)
    except FileNotFoundError:
        pytest.skip("nasm is not installed")
    return binary


PRINT = """
  mov esi, text
.next:
  lodsb
  test al, al
  jz .done
  mov dx, 0x3f8
  out dx, al
  jmp .next
.done:
"""


def unpacked_vmlinux(bzimage: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """The ELF file inside a bzImage, taken out with the compressor's own tool."""
    image = bzimage.read_bytes()
    start = (image[0x1F1] + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
    payload = image[start : start + struct.unpack_from("<I", image, 0x24C)[0]]
    tools = {b"\x02\x21\x4c\x18": ["lz4", "-dc"], b"\xfd7zX": ["xz", "-dc", "--single-stream"], b"\x28\xb5\x2f\xfd": ["zstd", "-dc"]}
    tool = tools.get(payload[:4])
    if tool is None:
        pytest.skip(f"no tool for a payload that begins with {payload[:4].hex()}")
    packed, vmlinux = directory / "payload", directory / "vmlinux"
    packed.write_bytes(payload[:-4])  # without the length that the kernel's build appends
    with packed.open("rb") as source, vmlinux.open("wb") as target:
        subprocess.run(tool, stdin=source, stdout=target, check=True)
    return vmlinux


def initramfs_of(program: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """An initramfs of one program and a console."""

    def entry(name, mode, data=b"", device=(0, 0), inode=0):
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)

    path.write_bytes(
        entry("dev", 0o40755, inode=1)
        + entry("dev/console", 0o20600, device=(5, 1), inode=2)
        + entry("init", 0o100755, program.read_bytes(), inode=3)
        + entry("TRAILER!!!", 0)
    )
    return path


def compiled_init(source: str, directory: pathlib.Path) -> pathlib.Path:
    """An initramfs whose /init is this C program of tests/guests, without any library."""
    program = directory / "init"
    flags = "-O2 -static -nostdlib -ffreestanding -fno-stack-protector -fcf-protection=none -no-pie".split()
    subprocess.run(["gcc", *flags, "-o", program, ROOT / "tests/guests" / source], check=True)
    return initramfs_of(program, directory / "initrd")
