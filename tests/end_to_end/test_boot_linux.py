"""Debian's kernels, as they are shipped, to a script in userspace: it works, and it is the same every time."""

import os
import random
import subprocess

import pytest

from guests import unpacked_vmlinux

APPEND = "console=ttyS0 panic=-1"


def check_boot(outcome):
    assert outcome.status == 0, outcome.errors + outcome.console.decode(errors="replace")[-3000:]
    assert outcome.report["exit"] == "power_off"
    console = outcome.console.decode(errors="replace")
    for line in (
        "rondo: userspace, Linux",
        "the squares of 1 to 1000 add up to 333833500",
        "sha256 of 1 MiB of zeros is 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58",
        "powering off",
    ):
        assert line in console
    assert "BUG" not in console and "WARNING" not in console and "Call Trace" not in console, console[-5000:]


def same_run(first, second):
    for key in ("exit", "instructions", "virtual_ns", "state_hash", "components"):
        assert first.report[key] == second.report[key], key
    assert first.console == second.console


@pytest.fixture(scope="module")
def boot(kernel, initramfs):
    return ["--kernel", kernel, "--initrd", initramfs, "--append", APPEND, "--max-time", "300s"]


@pytest.fixture(scope="module")
def reference(request, rondo, boot, tmp_path_factory):
    import conftest

    directory = tmp_path_factory.mktemp("reference")
    report = directory / "report.json"
    process = subprocess.run([str(rondo), "run", *map(str, boot), "--report", str(report)], input=b"", capture_output=True, timeout=580)
    import json

    return conftest.Outcome(process, json.loads(report.read_text()))


def test_boots_to_userspace(reference):
    check_boot(reference)
    assert reference.errors == ""


def test_peak_memory(reference):
    assert reference.report["peak_memory_bytes"] < reference.report["touched_bytes"] + (100 << 20)
    assert reference.report["touched_bytes"] < 128 << 20, "a boot to a shell touches less than half of the guest's memory"


def test_same_without_aslr_under_load_with_another_environment(run, boot, reference):
    load = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
    try:
        environment = {"PATH": os.environ["PATH"], "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "NOISE": "x" * 5000}
        same_run(reference, run(*boot, prefix=["setarch", "-R"], env=environment))
    finally:
        for process in load:
            process.kill()
            process.wait()


def test_resumed_from_the_middle(run, boot, reference, tmp_path):
    saved = tmp_path / "saved"
    count = reference.report["instructions"] * 2 // 3
    first = run(*boot, "--save-at", count, "--save-to", saved)
    same_run(reference, first)
    second = run("--restore", saved, "--max-time", "300s")
    assert second.report["state_hash"] == reference.report["state_hash"]
    assert second.report["instructions"] == reference.report["instructions"]
    assert second.console == reference.console[len(reference.console) - len(second.console) :]


def test_stepped_like_run_for_the_first_instructions(run, boot, slow):
    count = "100M" if slow else "5M"
    run_hash = run(*boot, "--max-instructions", count).report
    step_hash = run(*boot, "--max-instructions", count, "--single-step").report
    assert run_hash["components"] == step_hash["components"]


def test_extracted_vmlinux(run, kernel, initramfs, tmp_path):
    vmlinux = unpacked_vmlinux(kernel, tmp_path)
    outcome = run("--kernel", vmlinux, "--initrd", initramfs, "--append", APPEND, "--max-time", "300s")
    check_boot(outcome)
    assert outcome.report["image"] == "vmlinux"


def test_general_kernel(run, general_kernel, initramfs):
    check_boot(run("--kernel", general_kernel, "--initrd", initramfs, "--append", APPEND, "--max-time", "300s", "--memory", "512M"))


def test_more_memory_than_the_host_needs_to_have(run, boot, slow):
    # Linux touches 64 bytes for each page that it has: 1 GB of the host for a guest of 64 GB.
    outcome = run(*boot, "--memory", "64G" if slow else "8G")
    check_boot(outcome)
    assert outcome.report["peak_memory_bytes"] < outcome.report["touched_bytes"] + (100 << 20)
    assert outcome.report["touched_bytes"] < (1500 if slow else 400) << 20


def test_kernel_panic_ends_the_run(run, kernel):
    outcome = run("--kernel", kernel, "--append", APPEND, "--max-time", "300s")  # no initrd: no root to mount
    assert "Kernel panic - not syncing" in outcome.console.decode(errors="replace")
    assert (outcome.report["exit"], outcome.status) == ("reset", 0)


def test_piped_shell_commands(run, kernel, initramfs):
    outcome = run(
        "--kernel", kernel, "--initrd", initramfs, "--append", APPEND + " quiet rondo.shell", "--max-time", "300s",
        input=b"echo $((6 * 7)) is the answer\npoweroff -f\n",
    )  # fmt: skip
    assert outcome.report["exit"] == "power_off"
    assert b"\n42 is the answer" in outcome.console


def test_a_hundred_boots(run, boot, reference, slow):
    if not slow:
        pytest.skip("slow: scripts/test --all runs it")
    for _ in range(100):
        same_run(reference, run(*boot))


def test_a_whole_boot_by_single_steps(run, boot, reference, slow):
    if not slow:
        pytest.skip("slow: scripts/test --all runs it")
    same_run(reference, run(*boot, "--single-step", timeout=7200))


@pytest.mark.parametrize("preset", ["debug", "clang"])
def test_other_builds(run, boot, reference, slow, preset):
    command = os.path.join(os.environ.get("RONDO_BUILD", ""), preset, "rondo")
    if not slow or not os.path.exists(command):
        pytest.skip(f"slow: scripts/test --all builds and runs the {preset} build")
    same_run(reference, run(*boot, command=command, timeout=3600))


def test_resumed_from_200_random_counts(kernel, initramfs, reference, slow):
    if not slow:
        pytest.skip("slow: scripts/test --all runs it")
    import rondo as package

    choose = random.Random(2)
    walker = package.Machine(kernel=kernel, initrd=initramfs, append=APPEND)
    resumed = package.Machine(kernel=kernel, initrd=initramfs, append=APPEND)
    for count in sorted(choose.randrange(reference.report["instructions"]) for _ in range(200)):
        walker.run(max_instructions=count)
        resumed.restore(walker.save())
        report = resumed.run()
        assert (report.state_hash, report.instructions) == (reference.report["state_hash"], reference.report["instructions"]), count
