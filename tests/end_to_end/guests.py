"""Tiny bare-metal guests, assembled when a test needs them."""

import pathlib
import struct
import subprocess

import pytest

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
