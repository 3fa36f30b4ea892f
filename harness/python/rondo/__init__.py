"""Rondo: a deterministic full-system x86-64 simulator.

    import rondo
    machine = rondo.Machine(kernel="vmlinuz", initrd="initramfs.gz")
    report = machine.run(max_time="60s")
    assert report.exit == "power_off"
    print(machine.console.decode())

The same arguments give the same run: the same console, instruction count and state hash, on every host.

Any number of machines can go on from one state:

    snapshot = machine.snapshot()
    with snapshot.branch() as branch:
        branch.type("make test\\n")
        branch.run(until="done")
        print(branch.state_hash())

A run can be recorded, and replayed by anyone who has the directory:

    with rondo.Machine(kernel="vmlinuz", record="recording") as machine:
        machine.run(until="panic")
    assert rondo.replay("recording").complete
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Mapping, Self

from . import _rondo
from ._rondo import Error

__all__ = ["Machine", "Branch", "Snapshot", "Report", "Replay", "Divergence", "replay", "Error"]

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATIONS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@dataclass(frozen=True)
class Report:
    """How a run ended, and in which state."""

    exit: str  #: power_off, reset, debug_exit, halted, triple_fault, instruction_limit, time_limit, console_match, wall_limit, stopped
    debug_exit_code: int
    instructions: int  #: since reset; of a recording made on KVM: events
    counted: str  #: what that is a number of: "instructions" or "events"
    virtual_ns: int  #: since reset
    state_hash: str
    components: Mapping[str, str]  #: the hash of each part of the machine
    wall_s: float
    mips: float
    peak_memory_bytes: int  #: of this process
    touched_bytes: int  #: of guest memory: pages that were ever written
    engine: str
    image: str
    memory_bytes: int
    seed: int
    unsupported: list[dict[str, Any]]  #: instructions the CPU model does not have: bytes, rip, times


def _size(value: int | str) -> int:
    if isinstance(value, int):
        return value
    match = re.fullmatch(r"(\d+)([KMGT]?)(iB)?", value)
    if not match:
        raise ValueError(f"{value!r} is not a size: use a number of bytes or a value such as '256M'")
    return int(match[1]) * _SIZES[match[2]]


def _duration_ns(value: float | str | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{value!r} is not a duration: it is negative")
        return round(value * 10**9)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)?", value)
    if not match:
        raise ValueError(f"{value!r} is not a duration: use seconds or a value such as '60s'")
    return round(float(match[1]) * _DURATIONS[match[2] or "s"])


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class Snapshot:
    """A state of a machine, to branch from. Never changes. Snapshots share the memory pages in which they are equal."""

    def __init__(self, snapshot: _rondo.Snapshot) -> None:
        self._snapshot = snapshot

    def branch(self) -> Branch:
        """A new machine in this state, independent of all others. Costs the pages that branches write, not the size of memory.

        Branches may live side by side, and run in several threads.
        """
        return Branch(self._snapshot.branch())

    @property
    def instructions(self) -> int:
        """Instructions retired since reset."""
        return self._snapshot.instructions

    @property
    def virtual_ns(self) -> int:
        """Virtual nanoseconds since reset."""
        return self._snapshot.virtual_ns

    @property
    def memory_bytes(self) -> int:
        """Guest memory that holds something, in bytes."""
        return self._snapshot.pages * 4096

    def pages_changed_since(self, base: Snapshot) -> int:
        """How many pages of 4 KiB this snapshot does not share with `base`: those that were written between the two."""
        return self._snapshot.pages_changed_since(base._snapshot)


class Machine:
    """One guest computer, booted and ready to run."""

    _machine: _rondo.Machine

    def __init__(
        self,
        kernel: str | os.PathLike[str],
        initrd: str | os.PathLike[str] | None = None,
        append: str = _rondo.DEFAULT_COMMAND_LINE,
        memory: int | str = "256M",
        seed: int = 0,
        rtc_start: int = _rondo.DEFAULT_RTC_START,
        record: str | os.PathLike[str] | None = None,
        hash_interval: int = 100_000_000,
        checkpoint_interval: int = 100_000_000,
    ) -> None:
        """kernel: a bzImage, vmlinux or multiboot file. memory: bytes or '256M'. rtc_start: seconds since 1970.

        record: a new directory to record the machine into, as `rondo run --record` does, until close(); the intervals are in instructions.
        """
        self._machine = _rondo.Machine(
            kernel=os.fspath(kernel),
            initrd=os.fspath(initrd) if initrd is not None else "",
            append=append,
            memory=_size(memory),
            seed=seed,
            rtc_start=rtc_start,
            record=os.fspath(record) if record is not None else None,
            hash_interval=hash_interval,
            checkpoint_interval=checkpoint_interval,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the machine, and its recording if there is one; only `console` and `image` can be asked afterwards. May be called again."""
        self._machine.close()

    def run(
        self,
        max_instructions: int | None = None,
        max_time: float | str | None = None,
        max_wall: float | str | None = None,
        until: str | bytes | None = None,
        single_step: bool = False,
    ) -> Report:
        """Runs to the guest's end or to a limit; may be called again after a limit.

        max_instructions and max_time (seconds of virtual time, or '60s') count from reset, and the run ends exactly there. max_wall is host
        time: where it ends the run differs from run to run. until: ends soon after the console has shown this text (since this call began), at
        a point that is the same every time. Other Python threads go on meanwhile; Ctrl-C raises KeyboardInterrupt.
        """
        return Report(
            **self._machine.run(
                max_instructions=max_instructions,
                max_time_ns=_duration_ns(max_time),
                max_wall_ns=_duration_ns(max_wall),
                until=_bytes(until) if until is not None else None,
                single_step=single_step,
            )
        )

    def type(self, text: str | bytes) -> None:
        """Types on the serial console; the guest gets it during the next run() as soon as it listens."""
        self._machine.type(_bytes(text))

    @property
    def console(self) -> bytes:
        """Everything the guest has written to its first serial port."""
        return self._machine.console

    def state_hash(self) -> str:
        """The hash of the whole machine: equal if and only if (but for collisions) the states are equal."""
        return self._machine.state_hash()

    @property
    def instructions(self) -> int:
        """Instructions retired since reset."""
        return self._machine.instructions

    @property
    def virtual_ns(self) -> int:
        """Virtual nanoseconds since reset."""
        return self._machine.virtual_ns

    @property
    def image(self) -> str:
        """What was booted: 'bzImage (lz4)', 'vmlinux', 'multiboot', ..."""
        return self._machine.image

    def save(self) -> bytes:
        """The complete state, for restore() on a machine of the same size."""
        return self._machine.save()

    def restore(self, saved: bytes) -> None:
        """Goes to a saved state. What the console has shown stays. After an Error the machine is in no defined state: drop it."""
        self._machine.restore(saved)

    def snapshot(self) -> Snapshot:
        """The state as of now, to branch from. Costs the pages written since the last snapshot.

        What was typed and has not reached the guest yet, and what the console has shown, are not part of it.
        """
        return Snapshot(self._machine.snapshot())


class Branch(Machine):
    """A machine that began at a Snapshot; its console begins there too. Use it in a `with` statement, or close() it: its memory is used again."""

    def __init__(self, machine: _rondo.Machine) -> None:
        self._machine = machine


@dataclass(frozen=True)
class Divergence:
    """The first point at which a replay was seen to differ from its recording. `rondo diff` finds the instruction."""

    what: str
    event: int  #: at which it was noticed
    instructions: int  #: where
    components: list[str]  #: that differ
    last_equal: int  #: the count of the last state hash that agreed


@dataclass(frozen=True)
class Replay:
    """How a replay ended."""

    report: Report  #: its `exit` is the recording's, or target, recording_cut_off, divergence
    console: bytes  #: what the guest wrote to its first serial port
    complete: bool  #: the recording's end was reached, and everything agreed
    hashes_checked: int
    next_event: int  #: the number of the first event that did not happen yet
    divergence: Divergence | None


def replay(directory: str | os.PathLike[str], to: int | str | None = None, single_step: bool = False) -> Replay:
    """Runs a recording again and compares it with what was recorded, as `rondo replay` does.

    to: stop at this Moment: a count, '2.5s', 'event:12', 'end-1000'. What comes before the nearest checkpoint is then neither compared nor shown.
    """
    found = _rondo.replay(os.fspath(directory), to=str(to) if to is not None else None, single_step=single_step)
    divergence = found.pop("divergence")
    return Replay(report=Report(**found.pop("report")), divergence=Divergence(**divergence) if divergence else None, **found)
