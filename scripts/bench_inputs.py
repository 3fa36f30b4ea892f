"""What the bench scripts run: Debian's cloud kernel, the demo's initramfs, and the loops of tests/bench/loops.c."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
APPEND = "console=ttyS0 panic=-1 reboot=t quiet"


def fail(message: str) -> None:
    print(f"{pathlib.Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(2)


def check_built(rondo: pathlib.Path) -> None:
    if not rondo.exists():
        fail(f"'{rondo}' does not exist: build it with scripts/test or scripts/demo")


def fetch_kernel() -> str:
    guest = ROOT / "build/guest"
    guest.mkdir(parents=True, exist_ok=True)
    return subprocess.run([ROOT / "scripts/fetch-kernel", guest], check=True, capture_output=True, text=True).stdout.strip()


def make_initramfs(directory: pathlib.Path) -> pathlib.Path:
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / "initramfs.gz"
    subprocess.run([ROOT / "scripts/make-initramfs", output], check=True)
    return output


def make_loops_initramfs(directory: pathlib.Path) -> pathlib.Path:
    compiler = shutil.which("musl-gcc") or fail("musl-gcc is missing: run scripts/setup")
    subprocess.run([compiler, "-O2", "-static", "-o", directory / "loops", ROOT / "tests/bench/loops.c"], check=True)
    subprocess.run([ROOT / "scripts/make-initramfs", directory / "loops.gz", directory / "loops"], check=True)
    return directory / "loops.gz"
