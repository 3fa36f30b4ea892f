"""The rules of the source tree: who may include whom, and the one door for nondeterminism (docs/architecture.md, docs/determinism.md)."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("decoder", "core", "devices", "replay", "harness")

# A folder -> the folders whose headers it may include. The longest matching prefix of a file's path counts.
MAY_INCLUDE = {
    "decoder": ["decoder"],
    "core/base": ["core/base"],
    # The interfaces and what they are made of; an engine's insides are its own.
    "core": ["core/base", "core/bus", "core/cpu", "core/memory", "core/state", "core/time", "core/fp", "core/debug_points.h", "core/device.h", "core/door.h", "core/engine.h", "core/machine.h", "core/snapshot.h"],
    "core/fp": ["core/fp", "core/base", "core/cpu"],
    "core/software": ["core", "decoder"],
    "core/kvm": ["core", "decoder"],
    "devices": ["devices", "core/base", "core/bus", "core/cpu", "core/state", "core/time", "core/memory", "core/device.h",
                "acpi_tables/dsdt.hex"],  # generated from dsdt.asl
    "replay": ["replay", "core/base", "core/bus", "core/cpu", "core/memory", "core/state", "core/time", "core/debug_points.h", "core/device.h", "core/door.h", "core/engine.h", "core/machine.h", "core/snapshot.h"],
    "harness": ["harness", "replay", "decoder", "core/base", "core/bus", "core/cpu", "core/memory", "core/state", "core/time", "core/debug_points.h", "core/device.h",
                "core/door.h", "core/engine.h", "core/machine.h", "core/snapshot.h"],
    "harness/host": ["harness/host", "core/base"],
    # It looks at the host's KVM through the same wrappers as the engine.
    "harness/doctor": ["harness/doctor", "harness/host", "core/base", "core/cpu", "core/kvm"],
    "harness/kvm": ["harness", "core/base", "core/kvm"],
    # The board is the one place that names concrete devices and engines.
    "harness/board.cpp": ["harness", "devices", "core", "replay"],
}  # fmt: skip

# What reads the host's clocks, randomness, environment, processes or threads.
DOOR = re.compile(
    r"\b(?:clock_gettime|gettimeofday|std::time|time\(nullptr\)|time\(NULL\)|system_clock|steady_clock|high_resolution_clock|__rdtscp?|_rdtscp?|__builtin_ia32_rdtscp?|"
    r"getenv|secure_getenv|environ|random_device|mt19937|srand|rand\(\)|drand48|getrandom|getentropy|arc4random|"
    r"this_thread|pthread_self|gettid|getpid|getrusage|sched_getcpu|gethostname|uname\()"
    r"|<(?:random|thread|ctime|time\.h|sys/time\.h|sys/random\.h|sys/resource\.h)>"
)
# The door itself, and what needs a timespec to wait with.
BEHIND_THE_DOOR = {
    "harness/host/clock.cpp": None,
    "harness/host/entropy.cpp": None,
    "harness/host/terminal.cpp": {"<ctime>"},
    "harness/host/kick.cpp": {"gettid"},
    "harness/host/affinity.cpp": {"sched_getcpu"},
    "harness/host/kick.h": {"<ctime>"},
    # Threads that compress and read. How many there are, and when they run, shows in nothing that they make.
    "replay/checkpoint/background.h": {"<thread>"},
}


def sources():
    for folder in SOURCE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".inc"):
                yield path.relative_to(ROOT).as_posix()


def rule_for(name: str) -> list[str]:
    best = max((prefix for prefix in MAY_INCLUDE if name == prefix or name.startswith(prefix + "/")), key=len)
    return MAY_INCLUDE[best]


def without_comments(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


@pytest.mark.parametrize("folder", SOURCE_FOLDERS)
def test_includes_point_one_way(folder):
    wrong = []
    for name in sources():
        if not name.startswith(folder + "/"):
            continue
        for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', (ROOT / name).read_text(), flags=re.M):
            allowed = any(included == a or included.startswith(a + "/") for a in rule_for(name))
            if not allowed:
                wrong.append(f"{name} includes {included}")
    assert not wrong, "\n".join(wrong)


def test_includes_start_at_the_root():
    wrong = [
        f"{name}: {included}"
        for name in sources()
        for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', (ROOT / name).read_text(), flags=re.M)
        if "/" not in included or included.startswith(".")
    ]
    assert not wrong, "\n".join(wrong)


def test_devices_do_not_include_each_others_engines():
    wrong = [name for name in sources() if name.startswith("devices/") and re.search(r'#include "core/(software|machine|engine)', (ROOT / name).read_text())]
    assert not wrong


def test_one_door_for_nondeterminism():
    wrong = []
    for name in sources():
        permitted = BEHIND_THE_DOOR.get(name, set())
        if permitted is None:
            continue
        for match in DOOR.finditer(without_comments((ROOT / name).read_text())):
            if match[0] not in permitted:
                wrong.append(f"{name}: {match[0]}")
    assert not wrong, "\n".join(wrong)


def test_no_writable_statics_in_the_machine():
    """Two machines live in one process: nothing of a machine is global."""
    pattern = re.compile(r"^\s*(?:static|thread_local|inline)\s+(?!const\b|constexpr\b|consteval\b)(?:thread_local\s+)?[\w:<>,\s*&]+\s+\w+\s*(?:=|\{[^}]*\};|;)", re.M)
    wrong = []
    for name in sources():
        if not name.startswith(("core/", "devices/", "decoder/", "replay/")):
            continue
        for match in pattern.finditer(without_comments((ROOT / name).read_text())):
            text = " ".join(match[0].split())
            if "(" not in text and "constexpr" not in text and " const " not in text:
                wrong.append(f"{name}: {text}")
    assert not wrong, "\n".join(wrong)


def test_files_stay_readable():
    long = [name for name in sources() if len((ROOT / name).read_text().splitlines()) > 600]
    assert not long, f"longer than 600 lines: {long}"
