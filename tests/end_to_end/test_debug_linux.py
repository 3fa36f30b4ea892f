"""gdb on a booting Debian kernel, live and recorded."""

import os
import pathlib
import re
import subprocess

import pytest

from debugger import debug, end_of_counted, need_kvm, places
from guests import compiled_init

QUICK_END = 90_000_000


def machine(kernel, initramfs):
    return ["--kernel", kernel, "--initrd", initramfs, "--append", "console=ttyS0 earlyprintk=ttyS0 nokaslr panic=-1", "--memory", "128M"]


@pytest.fixture(scope="module")
def recording(rondo, kernel, initramfs, slow, tmp_path_factory):
    directory = tmp_path_factory.mktemp("boot") / "recording"
    limit = [] if slow else ["--max-instructions", QUICK_END]
    limit += ["--checkpoint-interval", "5000000"]
    arguments = [*machine(kernel, initramfs), *limit, "--console", directory.parent / "console", "--record", directory]
    subprocess.run([str(rondo), "run", *map(str, arguments)], stdin=subprocess.DEVNULL)
    return directory


@pytest.fixture(scope="module")
def recording_on_kvm(rondo, kernel, tmp_path_factory):
    """To a program that runs on KVM whatever the host, and to its end."""
    need_kvm()
    folder = tmp_path_factory.mktemp("kvm")
    arguments = [*machine(kernel, compiled_init("kvm_init.c", folder)), "--console", folder / "console", "--record", folder / "recording"]
    subprocess.run([str(rondo), "run", "--engine", "kvm", "--insist", *map(str, arguments)], stdin=subprocess.DEVNULL, check=True)
    assert end_of_counted(rondo, folder / "recording") > 2 * QUICK_END
    return folder / "recording"


@pytest.fixture(params=["live", "recording", "recording made on KVM"])
def target(request, rondo, kernel, initramfs, tmp_path):
    recording = request.getfixturevalue("recording_on_kvm" if "KVM" in request.param else "recording")
    arguments = machine(kernel, initramfs) if request.param == "live" else [recording]
    with debug(rondo, *arguments, "--console", tmp_path / "console") as server:
        server.console, server.live, server.recording = tmp_path / "console", request.param == "live", recording
        yield server


def test_the_way_does_not_matter(target):
    """Registers and the state hash at a place, by steps, by seeking, and over breakpoints and watchpoints."""
    with target.packets() as packets:

        def here():
            found = places(packets.monitor("when"))[0]
            return found, packets.ask("g"), packets.monitor("hash")

        known = {}
        for start in (30_000_000, 61_234_567, 41_000_001):
            packets.monitor(f"seek {start}")
            steps = [here()]
            for _ in range(15):
                assert packets.ask("vCont;s:1;c").startswith("T05")
                steps.append(here())
            for step in reversed(steps[:-1]):
                assert packets.ask("bs").startswith("T05")
                assert here() == step
            for place, registers, state in steps:
                assert known.setdefault(place, (registers, state)) == (registers, state)
            # Where the eighth step was, forwards and backwards.
            pc = int.from_bytes(bytes.fromhex(packets.ask("p10")), "little")
            assert packets.ask(f"Z1,{pc:x},1") == "OK"
            packets.monitor(f"seek {start + 1000}")
            reply = packets.ask("bc")
            assert "hwbreak" in reply
            last = here()
            forwards = None
            packets.monitor(f"seek {start - 1}")
            while True:
                packets.ask("c")
                now = here()
                if now[0] >= last[0]:
                    forwards = now
                    break
            assert forwards == last
            assert packets.ask(f"z1,{pc:x},1") == "OK"
            # The top of the stack, written last.
            packets.monitor(f"seek {start}")
            stack = int.from_bytes(bytes.fromhex(packets.ask("p7")), "little")
            assert packets.ask(f"Z2,{stack:x},8") == "OK"
            assert f"watch:{stack:x}" in packets.ask("bc")
            before = here()
            assert before[0][0] < start
            reply = packets.ask("vCont;s:1")
            assert f"watch:{stack:x}" in reply
            packets.monitor(f"seek {before[0][0]}")
            assert before[0][1] > 0 or here() == before
            assert packets.ask(f"z2,{stack:x},8") == "OK"


@pytest.mark.parametrize("made", ["recording", "recording_on_kvm"])
def test_searches_on_all_processors(request, rondo, made):
    """What several machines find between checkpoints is what one machine finds on its way back."""
    recording = request.getfixturevalue(made)
    with debug(rondo, recording, "--console", "none") as server, server.packets() as packets:
        packets.monitor("seek 89M")
        found = set()
        for page in range(0xFFFFFFFF82A00000, 0xFFFFFFFF83200000, 0x2FF000):
            answer = packets.monitor(f"last-write {page:#x} 4096")
            assert packets.ask(f"Z2,{page:x},1000") == "OK"
            reply = packets.ask("bc")
            there = places(packets.monitor("when"))[0][0]
            if "not found" in answer:
                assert "replaylog:begin" in reply
            else:
                assert f"watch:{page:x}" in reply and f"written by: instruction {there}," in answer
                pc = int.from_bytes(bytes.fromhex(packets.ask("p10")), "little")
                packets.monitor("seek 89M")
                first = packets.monitor(f"first-execution {pc:#x}")
                found.add(there)
                assert int(re.search(r"executed first: instruction (\d+)", first)[1]) <= there
            packets.monitor("seek 89M")
            assert packets.ask(f"z2,{page:x},1000") == "OK"
        assert found


def test_output_is_shown_once(target):
    """What the guest says again on its way to a place where it was before is not shown again."""
    plain = (target.recording.parent / "console").read_bytes()
    said = target.gdb("monitor seek 30M", "monitor seek 10M", "monitor seek 40M", "monitor seek 39M", "stepi", "monitor seek 60M")
    assert [count for count, _ in places(said)] == [30_000_000, 10_000_000, 40_000_000, 39_000_000, 60_000_000]
    target.close()
    shown = target.console.read_bytes()
    target.process.poll = lambda: None
    assert len(shown) > 500
    if target.live:
        assert plain.startswith(shown)
    else:  # what lies before a checkpoint that it went on from was not played
        times = [float(time) for time in re.findall(rb"\[ +(\d+\.\d+)\]", shown)]
        assert times == sorted(times)


def test_gdb_on_the_kernel(target):
    said = target.gdb(
        "monitor seek 50M",
        "maintenance flush register-cache",
        "set $here = $pc",
        "set $stack = $sp",
        "print $cs_base + $ss_base",
        "print $efer",
        "print $cr0",
        "hbreak *$here",
        "stepi 40",
        "reverse-continue",
        "print $pc == $here && $sp == $stack",
        "delete",
        "watch -l *(long*)$sp",
        "reverse-continue",
    )
    assert "$2 = [ SCE LME LMA NXE ]" in re.sub(r"\[.*\]", lambda m: "[ " + " ".join(sorted(m[0].strip("[] ").split(), key="SCE LME LMA NXE".find)) + " ]", said)
    assert re.search(r"\$3 = \[.*PG.*PE.*\]", said) and "$1 = 0" in said and "$4 = 1" in said
    assert re.search(r"Hardware watchpoint 2: -location .*\n\nOld value = ", said)


@pytest.mark.parametrize("made", ["recording", "recording_on_kvm"])
def test_random_walks(request, rondo, made, slow):
    recording = request.getfixturevalue(made)
    if made == "recording_on_kvm":
        recording /= "counted"
    program = pathlib.Path(os.environ.get("RONDO_BUILD", ""), "release/gdb_walk")
    if not program.exists():
        pytest.skip(f"{program} is not built")
    moments = "300" if slow else "20"
    done = subprocess.run([str(program), str(recording), moments, "10" if slow else "5", "3"], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout
    assert " 0 wrong, 0 different" in done.stdout
