"""gdb on bare-metal guests, live and recorded, forwards and backwards."""

import json
import re
import shutil
import subprocess

import pytest

from debugger import Packets, debug, end_of_counted, need_kvm, places, register
from guests import multiboot
from test_small_guests import ENDLESS


@pytest.fixture(scope="module")
def scenario(rondo):
    folder = rondo.parent / "scenarios"
    if not (folder / "corruption.elf").exists():
        pytest.skip("build/release/scenarios/corruption.elf is not built")
    return folder


class Failure:
    """A run of the scenario that failed."""

    def __init__(self, rondo, scenario, directory, *engine, seeds=200):
        self.damaged = None
        for seed in range(6, 6 + seeds):  # another compiler may need another one, and on KVM it is a matter of luck
            self.seed, self.recording, console, report = f"seed={seed}", directory / f"{seed}.rec", directory / "console", directory / "report"
            arguments = ["--kernel", scenario / "corruption.elf", "--append", self.seed, "--memory", "16M", "--console", console, *engine]
            command = [str(rondo), "run", *map(str, arguments), "--record", str(self.recording), "--report", str(report)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            if found := re.search(r"word \d+ at (0x\w+) is", console.read_text()):
                self.damaged = found[1]
                self.end = json.loads(report.read_text())["instructions"]
                return
        assert seeds == 1, "no seed makes it fail"


@pytest.fixture(scope="module")
def failure(rondo, scenario, tmp_path_factory):
    return Failure(rondo, scenario, tmp_path_factory.mktemp("corruption"))


@pytest.fixture(scope="module")
def failure_on_kvm(rondo, scenario, tmp_path_factory, slow):
    """Where nobody has the time, a run that may not have failed."""
    need_kvm()
    engine = ["--engine", "kvm", "--insist", "--kick-every", "200us"]
    failure = Failure(rondo, scenario, tmp_path_factory.mktemp("corruption"), *engine, seeds=200 if slow else 1)
    failure.end = end_of_counted(rondo, failure.recording)
    return failure


@pytest.fixture(params=["live", "recording", "recording made on KVM"])
def target(request, rondo, scenario):
    """The same guest, which always stands at its start."""
    failure = request.getfixturevalue("failure_on_kvm" if "KVM" in request.param else "failure")
    live = ["--kernel", scenario / "corruption.elf", "--append", failure.seed, "--memory", "16M"]
    arguments = live if request.param == "live" else [failure.recording]
    with debug(rondo, *arguments, "--console", "none", symbols=scenario / "corruption.debug") as server:
        server.live, server.end, server.failed = request.param == "live", failure.end, failure.damaged is not None
        yield server


def test_the_story(target):
    if not target.failed:
        pytest.skip("on KVM it takes many tries until the guest fails: only with RONDO_SLOW_TESTS=1")
    script = target.symbols.parents[3] / "scenarios/corruption/find.gdb"
    said = target.gdb(f"source {script}")
    damaged = re.search(r"Breakpoint 1, damaged \(slot=\d+, word=\d+, wanted=(\d+)\)", said)
    assert re.search(rf"Old value = \d+\nNew value = {damaged[1]}\n.* in (tick|fill) ", said)
    assert re.search(r"#0  timer_interrupt .*\n#1 .* in take \(\) .*\n#2 .* in fill ", said)
    # Between the load of free_list and the store.
    assert re.search(r"=> 0x\w+ <take\+(15|19|23|26)>:\tmov ", said)


def test_breakpoints_and_conditions(target):
    said = target.gdb(
        "break fill if slot == 3",
        "hbreak *check if slot == 3",  # before the argument is stored: $rdi says nothing yet of `slot`
        "delete 2",
        "continue",
        "monitor when",
        "continue",
        "monitor when",
        "print slot",
        "reverse-continue",
        "monitor when",
        "hbreak check if slot == 3 && ticks >= 0",
        "delete 1",
        "continue",
        "print slot",
    )
    first, second, back = places(said)
    assert first == back and second > first
    assert said.count("$1 = 3") == 1 and said.count("$2 = 3") == 1


def test_both_ends(target):
    said = target.gdb("continue", "monitor when", "reverse-continue", "monitor when", "reverse-stepi", "monitor when", "stepi", "print $pc")
    end, start, still = places(said)
    assert end[0] == target.end and start == still == (0, 0)
    assert said.count("No more reverse-execution history") == 3
    assert "rondo: the guest ended the run: debug_exit" in said


def test_steps(target):
    steps = ["stepi", "monitor when", "print $pc", "print $rsp"] * 12
    back = ["reverse-stepi", "monitor when", "print $pc", "print $rsp"] * 12
    said = target.gdb("break fill", "continue", "monitor when", "print $pc", "print $rsp", *steps, *back)
    at = places(said)
    values = re.findall(r"^\$\d+ = .*(0x\w+)", said, re.M)
    seen = list(zip(at, values[0::2], values[1::2]))
    assert len(seen) == 25 and seen[:13] == seen[12:][::-1]
    assert [count for count, _ in at[:13]] == list(range(at[0][0], at[0][0] + 13))


def test_source_lines_backwards(target):
    said = target.gdb(
        "tbreak fill",
        "continue",
        "reverse-finish",  # to the call
        "reverse-next",  # to the line with the call
        "step",  # into it
        "frame",
        "next",  # over take()
        "print record[slot] != 0",
        "reverse-next",
        "print record[slot] == 0",
        "finish",
        "reverse-step",  # to the end of fill()
        "frame",
        "reverse-finish",
        "stepi",
        "print $pc == fill",
    )
    assert "$1 = 1" in said and "$2 = 1" in said and "$3 = 1" in said, said
    assert len(re.findall(r"^#0  fill \(slot=\d+\)", said, re.M)) == 2
    assert said.count("\nmain (") == 1 and len(re.findall(r" in main .*\n166\t", said)) == 2


def test_watchpoints(target):
    said = target.gdb(
        "tbreak start_timer",
        "continue",
        "watch ticks",
        "continue",
        "continue",
        "reverse-continue",
        "reverse-continue",
        "print ticks",
        "delete",
        "rwatch free_list",
        "continue",
        "delete",
        "awatch *(char(*)[4096])&pool[64]",
        "continue",
        "delete",
        *[f"watch pool[{n}].word[1]" for n in range(140, 160)],  # more than any processor has
        "continue",
        "reverse-continue",
    )
    assert "Old value = 0\nNew value = 1" in said and "Old value = 1\nNew value = 2" in said
    assert "Old value = 2\nNew value = 1" in said and "Old value = 1\nNew value = 0" in said
    assert "Hardware read watchpoint" in said and re.search(r"Hardware read watchpoint \d+: free_list\n\nValue = ", said)
    assert re.search(r"Hardware access \(read/write\) watchpoint \d+: \*\(char.*\n\n(Old value|Value) = ", said)
    assert len(re.findall(r"Hardware watchpoint \d+: pool\[\d+\]\.word\[1\]\n\nOld value", said)) >= 1
    assert "Could not insert" not in said


def test_registers(target):
    said = target.gdb("info registers", "break main", "continue", "info registers", "print $st0", "p $xmm0.uint128", "p $cr0", "p $efer", "p $cs_base")
    real, long_mode = said.split("Breakpoint 1, main")
    assert register(real, "cr0") & 0x80000001 == 1 and register(real, "cs") == 8 or register(real, "cs") != 0
    assert register(long_mode, "cr0") & 0x80000001 == 0x80000001
    assert "$1 = 0" in said and "$2 = 0" in said and "[ PG ET PE ]" in said and "[ LMA LME ]" in said and "$5 = 0" in said


def test_memory_virtual_and_physical(target):
    said = target.gdb(
        "break main",
        "continue",
        "x/2i main",
        "monitor physical on",
        "x/2i main",
        "x/xb 0x40000000",
        "monitor physical off",
        "monitor physical",
    )
    assert said.count("<main>:\tpush   %rbp") == 2
    assert "Cannot access memory at address 0x40000000" in said


def test_interrupt(rondo, tmp_path):
    with debug(rondo, "--kernel", multiboot(tmp_path, ENDLESS), "--memory", "4M", "--console", "none") as server:
        with server.packets() as packets:
            # Forwards, back over a condition that never holds, and stepping in a range that is never left.
            assert packets.ask("Z0,0,1") == "OK"
            for resume in ("vCont;c", "vCont;c", "bc", "vCont;r0,ffffffffffffffff:1", "c"):
                packets.send(resume)
                packets.interrupt()
                reply, _ = packets.reply()
                assert reply.startswith("T02") or resume == "bc" and "replaylog:begin" in reply, resume
        # gdb's Ctrl-C, when it is sure to wait.
        said = server.gdb(
            "python import os, signal, threading",
            "python gdb.events.cont.connect(lambda e: threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start())",
            "continue",
            "monitor when",
            "stepi",
        )
        assert "Program received signal SIGINT" in said and places(said)[0][0] > 0


def test_detach_and_reconnect(target):
    said = target.gdb("tbreak tick", "continue", "monitor when", "monitor checkpoint", "detach")
    at = places(said)[0]
    if not target.live:  # where it was left
        said = target.gdb("monitor when", "info breakpoints", "continue", "monitor restart 1", "monitor when")
        assert places(said)[0] == at and places(said)[-1] == at and "No breakpoints" in said
        # Gone without a word, in mid-packet and while it runs.
        for rubbish in (b"$m0,", b"$c#63", b"\x03\x03+-$#00"):
            with target.packets() as packets:
                packets.socket.sendall(rubbish)
    else:  # it ran on, to its end
        said = target.gdb("monitor when", "monitor restart 1", "monitor when")
        assert places(said)[-1] == at
    assert "No symbol" not in target.gdb("print $pc")


def test_writes_begin_a_branch(rondo, target):
    said = target.gdb(
        "break fill if slot == 3",
        "continue",
        "monitor hash",
        "monitor branch",
        "set var ticks = 1000",
        "set $r15 = 77",
        "monitor branch",
        "stepi",
        "monitor when",
        "print ticks",
        "continue",
        "print ticks >= 1000",
        "monitor history back",
        "reverse-stepi",
        "reverse-stepi",
        "print ticks",
        "print $r15",
        "monitor branch",
        "monitor branch leave",
        "monitor hash",
    )
    assert "rondo: memory was changed: a branch begins at instruction" in said
    assert "nothing was changed" in said and "changed here" in said and re.search(r"changed at instruction \d+$", said, re.M) and ", on a branch" in said
    assert "$1 = 1000" in said and "$2 = 1" in said and re.search(r"\$3 = \d\n", said) and "$4 = 0" in said
    hashes = re.findall(r"^[0-9a-f]{32}$", said, re.M)
    assert len(hashes) == 2 and hashes[0] == hashes[1]


def test_the_recording_stays_as_it_was(rondo, scenario, failure):
    recording = failure.recording
    files = {p: p.read_bytes() for p in sorted(recording.rglob("*")) if p.is_file()}
    with debug(rondo, recording, "--console", "none", symbols=scenario / "corruption.debug") as server:
        server.gdb("break fill", "continue", "set var record[slot] = pool", "set $rax = 5", "continue", "kill")
        assert server.process.wait(timeout=60) == 0
        server.process.poll = lambda: None
    assert files == {p: p.read_bytes() for p in sorted(recording.rglob("*")) if p.is_file()}


def test_monitor_commands(rondo, scenario, failure):
    end = failure.end
    arguments = [failure.recording, "--console", "none", "--symbols", scenario / "corruption.debug"]
    with debug(rondo, *arguments) as server, server.packets() as packets:
        ask = packets.monitor
        assert "last-write" in ask("help") and ask("") == ask("help")
        assert ask("when").startswith("instruction 0, 0 ns, next event 0, RIP 0x100010 <start")
        assert ask("seek 1M").startswith("instruction 1000000, 1000000 ns")
        assert ask("checkpoint") == "checkpoint 1 at instruction 1000000\n"
        assert f"instruction {end}," in ask("seek end")
        assert f"instruction {end - 10}," in ask("seek end-10")
        assert "instruction 5000000," in ask("seek 5ms")
        assert "instruction 4999990," in ask("seek -10")
        assert "instruction 5000000," in ask("seek +10")
        assert "instruction 1000000," in ask("restart 1") and "1: instruction 1000000" in ask("checkpoint list")
        assert "instruction 5000000," in ask("history back") and "instruction 1000000," in ask("history forward")
        assert ask("history").count("instruction") >= 7
        assert "debug_exit" in ask("events 0")
        # Who wrote the word that is wrong at the end? The position stays.
        ask("seek end")
        written = ask(f"last-write {failure.damaged} 8")
        assert re.search(r"written by: instruction \d+.*<(tick|fill)\+0x", written) and f"instruction {end}," in ask("when")
        assert ask("last-write record 8").startswith("written by: instruction ")
        first = ask("first-execution damaged")
        assert re.search(r"executed first: instruction \d+.*<damaged>", first) and f"instruction {end}," in ask("when")
        assert "<fill>" in ask("first-execution fill go") and "<fill>" in ask("when")
        assert "not found" in ask("last-write 0x700000 8") and "not found" in ask("first-execution 0x700000")
        for wrong in ("seek", "seek x", "seek event:99", "seek end-999999999", "restart 9", "last-write", "last-write nobody", "history up", "events x", "nonsense"):
            said = ask(wrong)
            assert said.count("\n") == 1 and len(said) < 200, said


def test_what_is_left_of_a_recording(rondo, failure, tmp_path):
    """Its writer died: everything up to the last whole chunk is there. Or it is no recording at all."""
    for part in (0, 20, 60, 95, 99):
        cut = tmp_path / f"{part}.rec"
        shutil.copytree(failure.recording, cut)
        log = (cut / "events.log").read_bytes()
        (cut / "events.log").write_bytes(log[: len(log) * part // 100])
        process = subprocess.Popen([str(rondo), "debug", str(cut), "--gdb", "127.0.0.1:0", "--console", "none"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        line = process.stderr.readline()
        if "target remote" not in line:
            assert process.wait(timeout=60) == 2 and line.startswith("rondo: ")
            continue
        with Packets(line.split()[-1]) as packets:
            for command in ("seek end", "seek 99G", "seek start", "events 0", "last-write 0x100000"):
                assert packets.monitor(command).endswith("\n")
            assert packets.ask("c").startswith("T05") and packets.ask("bc").startswith("T05") and packets.ask("bs").startswith("T05")
            packets.send("k")
        assert process.wait(timeout=60) == 0


MODES = """
  mov esi, image
  mov edi, 0x8000
  mov ecx, 0x100
  rep movsb
  lgdt [gdt_pointer]
  jmp 0x18:0x8000
align 16
gdt: dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00009a000000ffff, 0x00af9a000000ffff
gdt_pointer: dw gdt_pointer - gdt - 1
  dd gdt
times 0x180 - ($ - $$) db 0x90
protected:                   ; 0x100180
  mov ax, 0x10
  mov ds, ax
  mov ss, ax
  mov dword [0x200000], 0x201003
  mov dword [0x201000], 0x83
  mov eax, 0x20
  mov cr4, eax
  mov eax, 0x200000
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x100
  wrmsr
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp 0x20:long_mode
times 0x200 - ($ - $$) db 0x90
bits 64
long_mode:                   ; 0x100200
  mov rbx, 0x123456789abcdef0
  hlt
bits 16
image:
  mov eax, cr0
  and al, 0xfe
  mov cr0, eax
  jmp 0x0800:real - image
times 0x20 - ($ - image) db 0x90
real:                        ; 0x8020
  mov bx, 0x1616
  mov eax, cr0
  or al, 1
  mov cr0, eax
  jmp dword 0x08:protected
"""


def test_modes_of_the_processor(rondo, tmp_path):
    with debug(rondo, "--kernel", multiboot(tmp_path, MODES), "--memory", "8M", "--console", "none") as server:
        look = ["info registers rip cs cs_base cr0 efer rbx", "monitor when"]
        there = ["break *0x8020", "break *0x100180", "break *0x100200", "continue", *look, "stepi", "continue", *look, "continue", *look, "stepi", *look]
        said = server.gdb(*there, "reverse-stepi", "reverse-continue", *look, "reverse-continue", *look, "print/x $cs_base + $rip", "x/2xb 0x8020")
    count = places(said)
    rip = re.findall(r"^rip +(0x\w+)", said, re.M)
    base = re.findall(r"^cs_base +(0x\w+)", said, re.M)
    # Real mode, protected mode, long mode, a step on; and back.
    assert rip == ["0x20", "0x100180", "0x100200", "0x10020a", "0x100180", "0x20"] and base[0] == base[5] == "0x8000"
    assert count[4] == count[1] and count[5] == count[0]
    assert re.findall(r"^rbx +(0x\w+)", said, re.M)[3] == "0x123456789abcdef0"
    assert "$1 = 0x8020" in said and "0xbb\t0x16" in said


def test_the_port(rondo, tmp_path):
    guest = multiboot(tmp_path, ENDLESS)
    with debug(rondo, "--kernel", guest, "--memory", "4M", "--console", "none") as server:
        assert server.address.startswith("127.0.0.1:") and not any("other computers" in line for line in server.said)
        taken = server.address
        again = subprocess.run([str(rondo), "debug", "--kernel", str(guest), "--gdb", taken], capture_output=True, text=True, timeout=60)
        assert again.returncode == 2 and "use another port" in again.stderr
    for bad in ("nowhere:1", "127.0.0.1:99999", "127.0.0.1:", "x"):
        wrong = subprocess.run([str(rondo), "debug", "--kernel", str(guest), "--gdb", bad], capture_output=True, text=True, timeout=60)
        assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    open_to_all = subprocess.Popen([str(rondo), "debug", "--kernel", str(guest), "--gdb", "0.0.0.0:0"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert "can be reached from other computers" in open_to_all.stderr.readline()
    open_to_all.terminate()
    open_to_all.communicate(timeout=60)
