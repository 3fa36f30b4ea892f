"""What happens when the host's KVM fails: one clear line, the right exit status, no crash and no hang, and recordings that are good to their last
chunk. tests/host_faults/kvm_faults.c makes KVM fail, in front of the real command."""

import collections
import errno
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from test_kvm import needs_kvm

ALWAYS = errno.EFAULT, errno.ENOMEM, errno.EINVAL
AGAIN = errno.EINTR, errno.EAGAIN
NUMBERS = {
    "KVM_GET_API_VERSION": 0x00, "KVM_CREATE_VM": 0x01, "KVM_CHECK_EXTENSION": 0x03, "KVM_GET_VCPU_MMAP_SIZE": 0x04, "KVM_CREATE_VCPU": 0x41,
    "KVM_GET_DIRTY_LOG": 0x42, "KVM_SET_USER_MEMORY_REGION": 0x46, "KVM_RUN": 0x80, "KVM_GET_REGS": 0x81, "KVM_SET_REGS": 0x82, "KVM_GET_SREGS": 0x83,
    "KVM_SET_SREGS": 0x84, "KVM_TRANSLATE": 0x85, "KVM_GET_MSRS": 0x88, "KVM_SET_MSRS": 0x89, "KVM_SET_CPUID2": 0x90, "KVM_SET_GUEST_DEBUG": 0x9B,
    "KVM_GET_VCPU_EVENTS": 0x9F, "KVM_SET_VCPU_EVENTS": 0xA0, "KVM_GET_DEBUGREGS": 0xA1, "KVM_SET_DEBUGREGS": 0xA2, "KVM_ENABLE_CAP": 0xA3,
    "KVM_GET_XSAVE": 0xA4, "KVM_SET_XSAVE": 0xA5, "KVM_X86_SET_MSR_FILTER": 0xC6, "open": 0x100, "mmap": 0x101, "timer_create": 0x102,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
EXIT_UNKNOWN, EXIT_FAIL_ENTRY, EXIT_INTERNAL_ERROR = 0, 9, 17
EMULATION, SIMULTANEOUS, DELIVERY, UNEXPECTED = 1, 2, 3, 4  # suberrors of the last
CAPABILITIES = {"KVM_CAP_IMMEDIATE_EXIT": 136, "KVM_CAP_SYNC_REGS": 74, "KVM_CAP_X86_MSR_FILTER": 189, "KVM_CAP_EXIT_ON_EMULATION_FAILURE": 204}
OTHER_CAPABILITIES = {"KVM_CAP_USER_MEMORY": 3, "KVM_CAP_EXT_CPUID": 7, "KVM_CAP_VCPU_EVENTS": 41, "KVM_CAP_DEBUGREGS": 50, "KVM_CAP_XSAVE": 55, "KVM_CAP_X86_USER_SPACE_MSR": 188}  # fmt: skip
RECORD = ["--insist", "--hash-interval", "50", "--checkpoint-interval", "100"]


def rule(call, **fields):
    return ",".join([f"nr={NUMBERS[call]}"] + [f"{name}={int(value)}" for name, value in fields.items()])


class Faulty:
    """Runs `rondo` with a KVM that fails by these rules."""

    def __init__(self, rondo, folder):
        self.rondo, self.folder = rondo, folder
        self.library = rondo.parent / "tests/host_faults/kvm_faults.so"
        self.guest = rondo.parent / "tests/guests/kvm_tasks.elf"
        for needed in (self.library, self.guest):
            if not needed.exists():
                pytest.skip(f"{needed} is not built")
        # Sanitizers want to be first; in front of them this library is nothing to them.
        self.environment = dict(os.environ, LD_PRELOAD=str(self.library), ASAN_OPTIONS="verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""))

    def command(self, *arguments, rules="", timeout=120, **environment):
        environment = dict(self.environment, RONDO_KVM_FAULTS=rules, **environment)
        done = subprocess.run([str(a) for a in (self.rondo, *arguments)], capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, env=environment)
        done.errors = done.stderr.decode()
        assert "Sanitizer" not in done.errors and done.returncode >= 0, (rules, done.returncode, done.errors)
        return done

    def arguments(self, *more, guest="kvm_tasks"):
        kick = [] if "--kick-every" in more else ["--kick-every", "300us"]
        return ["run", "--engine", "kvm", "--kernel", self.guest.with_stem(guest), "--memory", "16M", *kick, *more]

    def run(self, rules, *more, record=None, guest="kvm_tasks", **how):
        shutil.rmtree(record or self.folder / "none", ignore_errors=True)
        return self.command(*self.arguments(*more, guest=guest), *(["--record", record, *RECORD] if record else []), rules=rules, **how)

    def replay(self, recording):
        report = self.folder / "replayed.json"
        report.unlink(missing_ok=True)
        done = self.command("replay", recording, "--report", report)
        return done, json.loads(report.read_text()) if report.exists() else None


@pytest.fixture(scope="module")
def faulty(rondo, tmp_path_factory):
    return Faulty(rondo, tmp_path_factory.mktemp("faults"))


class Healthy:
    """A run without faults: the engine's virtual machine is the last one (the others are doctor's), and what is called how often."""

    def __init__(self, faulty):
        counts = faulty.folder / "calls"
        done = faulty.run("", record=faulty.folder / "healthy", RONDO_KVM_CALLS=str(counts))
        assert done.returncode == 0, done.errors
        self.count(counts)
        self.console = done.stdout
        assert b"ALL OK" in self.console

    def count(self, counts):
        calls = collections.defaultdict(dict)
        for line in counts.read_text().splitlines():
            vm, number, count = map(int, line.split())
            calls[vm][NAMES[number]] = count
        self.vm = max(calls)
        self.calls = calls[self.vm]


@pytest.fixture(scope="module")
def healthy(faulty):
    return Healthy(faulty)


def failed(faulty, healthy, rules, recording=None, or_not=False):
    """The run fails, as it should: gives its error. `or_not`: a fault near the end may come too late."""
    done = faulty.run(rules, record=recording)
    if or_not and done.returncode == 0:
        assert (done.stdout, done.errors) == (healthy.console, ""), rules
        return ""
    assert done.returncode in (1, 2), (rules, done.returncode, done.errors)
    assert done.errors.count("\n") == 1 and done.errors.startswith("rondo: ") and "--engine software" in done.errors, (rules, done.errors)
    assert healthy.console.startswith(done.stdout), rules
    if not recording:
        return done.errors
    assert recording.exists() == (done.returncode == 1), rules
    if done.returncode == 1:
        assert done.errors.endswith("the recording is good up to here\n"), (rules, done.errors)
        broken_off(faulty, healthy, rules, recording)
        remarks = json.loads(faulty.command("info", "--json", recording).stdout)["remarks"]
        assert remarks and "host_failure: " + done.errors[7:].split(";")[0] in remarks[-1]["text"], (rules, remarks)
    return done.errors


def broken_off(faulty, healthy, rules, recording):
    replayed, report = faulty.replay(recording)
    assert replayed.returncode == 3, (rules, replayed.errors)
    assert report["exit"] == "recording_cut_off" and healthy.console.startswith(replayed.stdout), rules
    return report


def survived(faulty, healthy, rules, recording=None):
    done = faulty.run(rules, record=recording)
    assert (done.returncode, done.stdout, done.errors) == (0, healthy.console, ""), rules
    if recording:
        replayed, report = faulty.replay(recording)
        assert (replayed.returncode, replayed.stdout, replayed.errors) == (0, healthy.console, ""), rules
        assert report["replay"]["complete"] and report["replay"]["hashes_checked"] > 5


# --- Before there is a machine


def refused(faulty, rules, **how):
    done = faulty.run(rules, **how)
    assert done.returncode == 2 and done.errors.count("\n") == 1 and "--engine software" in done.errors, (rules, done.errors)
    return done.errors


def test_no_usable_device(faulty):
    assert "is not there" in refused(faulty, rule("open", errno=errno.ENOENT))
    assert "may not be used by this user" in refused(faulty, rule("open", errno=errno.EACCES))
    assert "Device or resource busy" in refused(faulty, rule("open", errno=errno.EBUSY))
    for other in ("/dev/null", "/dev/zero", __file__):
        assert "does not answer as KVM does" in refused(faulty, "", RONDO_KVM_DEVICE=other)
    assert "API version 11" in refused(faulty, rule("KVM_GET_API_VERSION", value=11))
    assert "100 bytes" in refused(faulty, rule("KVM_GET_VCPU_MMAP_SIZE", value=100))


@needs_kvm
@pytest.mark.parametrize("name", CAPABILITIES)
def test_missing_capability(faulty, name):
    without = rule("KVM_CHECK_EXTENSION", arg=CAPABILITIES[name], value=0)
    assert f"lacks {name}, which Linux has since" in refused(faulty, without)
    doctor(faulty, without, usable=False)


def doctor(faulty, rules, usable, **how):
    """Both forms of doctor agree, and say whether a machine can run on KVM."""
    data = faulty.command("doctor", "--json", rules=rules, **how)
    text = faulty.command("doctor", rules=rules, **how)
    report = json.loads(data.stdout)
    assert data.returncode == text.returncode == (0 if report["complete"] else 3), rules
    assert data.errors == text.errors == "", rules
    grades = {c["id"]: c["grade"] for c in report["conclusions"]}
    assert grades["software"] == "yes" and (grades["run_kvm"] != "no") == usable, (rules, grades)
    assert "software engine" in text.stdout.decode() and "run on KVM" in text.stdout.decode()
    return " ".join(text.stdout.decode().split())


def test_doctor_without_a_device(faulty):
    assert "is not there" in doctor(faulty, rule("open", errno=errno.ENOENT), usable=False)
    assert "does not answer as KVM does" in doctor(faulty, "", usable=False, RONDO_KVM_DEVICE="/dev/null")


@needs_kvm
def test_doctor_names_what_fails(faulty):
    assert "KVM refused KVM_CREATE_VM" in doctor(faulty, rule("KVM_CREATE_VM", errno=errno.EBUSY), usable=False)
    assert "KVM refused KVM_SET_SREGS" in doctor(faulty, rule("KVM_SET_SREGS", errno=errno.EINVAL), usable=False)
    assert "KVM refused KVM_RUN" in doctor(faulty, rule("KVM_RUN", errno=errno.EFAULT), usable=False)
    assert "does not say which pages were written" in doctor(faulty, rule("KVM_GET_DIRTY_LOG", errno=errno.ENOENT), usable=False)


@needs_kvm
def test_doctor_survives_storms(faulty):
    storms = (rule("KVM_RUN", vm=1, after=after, times=50, errno=error) for after in (20, 300) for error in AGAIN)
    doctor(faulty, ";".join(storms), usable=True)


@needs_kvm
def test_doctor_systematically(faulty, slow):
    if not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    counts = faulty.folder / "doctor-calls"
    faulty.command("doctor", RONDO_KVM_CALLS=str(counts))
    for line in counts.read_text().splitlines():
        vm, number, count = map(int, line.split())
        for after in {0, 1, count // 2}:
            for error in (errno.EFAULT, errno.ENOMEM):
                rules = f"nr={number},vm={vm},after={after},times=1,errno={error}"
                done = faulty.command("doctor", "--json", rules=rules)
                report = json.loads(done.stdout)
                assert done.returncode == (0 if report["complete"] else 3) and done.errors == "", (rules, done.errors)
    for name, number in {**CAPABILITIES, **OTHER_CAPABILITIES}.items():
        assert name in doctor(faulty, rule("KVM_CHECK_EXTENSION", arg=number, value=0), usable=False)


# --- In the middle of a run


@needs_kvm
def test_storms_are_survived(faulty, healthy):
    """Signals at every entry, and in long rows."""
    for n, error in enumerate(AGAIN):
        storms = ";".join(rule("KVM_RUN", vm=healthy.vm, after=after, times=1 + after * 37, errno=error) for after in range(0, healthy.calls["KVM_RUN"], 60))
        survived(faulty, healthy, storms, faulty.folder / "storm")
        others = ("KVM_GET_DIRTY_LOG", "KVM_SET_USER_MEMORY_REGION", "KVM_GET_XSAVE", "KVM_SET_XSAVE", "KVM_TRANSLATE", "KVM_SET_CPUID2", "KVM_CREATE_VCPU")
        survived(faulty, healthy, ";".join(rule(call, vm=healthy.vm, times=50, errno=error) for call in others), faulty.folder / "storm" if n else None)


@needs_kvm
def test_an_endless_storm_is_an_error(faulty, healthy):
    for error in AGAIN:
        assert "did not begin to run" in failed(faulty, healthy, rule("KVM_RUN", vm=healthy.vm, after=20, errno=error), faulty.folder / "storm")
    endless = rule("KVM_RUN", vm=healthy.vm, errno=errno.EINTR)
    assert faulty.run(endless, "--max-wall", "50ms").returncode in (1, 3)


@needs_kvm
@pytest.mark.parametrize("suberror", [EMULATION, DELIVERY])  # the others: test_every_call_fails
def test_what_kvm_gives_up_on_runs_in_software(faulty, healthy, suberror):
    gives_up = rule("KVM_RUN", vm=healthy.vm, after=30, times=500, exit=EXIT_INTERNAL_ERROR, detail=suberror)
    survived(faulty, healthy, gives_up, faulty.folder / "gives_up")


@needs_kvm
@pytest.mark.parametrize("guest", ["kvm_tasks", "kvm_calls"])
def test_what_kvm_gives_up_on_behind_a_kick(faulty, healthy, slow, guest):
    """The kick may have come when an INT3 or SYSCALL had begun: it is neither lost nor executed twice."""
    recording = faulty.folder / "kicked"
    for _ in range(20 if slow else 4):
        rules = rule("KVM_RUN", vm=healthy.vm, kicked=1, exit=EXIT_INTERNAL_ERROR, detail=EMULATION)
        done = faulty.run(rules, "--kick-every", "60us", record=recording, guest=guest)
        assert (done.returncode, done.stdout, done.errors) == (0, healthy.console, ""), rules
        replayed, report = faulty.replay(recording)
        assert (replayed.returncode, replayed.stdout, replayed.errors) == (0, healthy.console, ""), rules
        assert report["replay"]["complete"]


@needs_kvm
@pytest.mark.parametrize(
    "name, fields, said",
    [
        ("KVM_RUN", {"after": 100, "errno": errno.EFAULT}, "KVM_RUN: Bad address"),
        ("KVM_RUN", {"after": 100, "exit": EXIT_FAIL_ENTRY, "detail": 0x80000021}, "could not enter the guest: hardware reason 2147483681"),
        ("KVM_RUN", {"after": 100, "exit": EXIT_UNKNOWN}, "left the guest for reason 0"),
        ("KVM_SET_USER_MEMORY_REGION", {"errno": errno.ENOMEM}, "a memory slot of 16 MiB"),
        ("KVM_SET_USER_MEMORY_REGION", {"after": 1, "errno": errno.EINVAL}, "to take a memory slot away"),
        ("KVM_SET_USER_MEMORY_REGION", {"after": 2, "errno": errno.ENOMEM}, "a memory slot of 16 MiB"),
        ("KVM_GET_DIRTY_LOG", {"after": 100, "errno": errno.ENOENT}, "KVM_GET_DIRTY_LOG"),
        ("KVM_GET_XSAVE", {"after": 100, "errno": errno.ENOMEM}, "KVM_GET_XSAVE"),
        ("KVM_X86_SET_MSR_FILTER", {"errno": errno.EINVAL}, "KVM_X86_SET_MSR_FILTER"),
        ("mmap", {"errno": errno.ENOMEM}, "run area"),
        ("timer_create", {"errno": errno.EAGAIN}, "ulimit -i"),
    ],
)
def test_failure(faulty, healthy, name, fields, said):
    recording = faulty.folder / "failure"
    assert said in failed(faulty, healthy, rule(name, vm=healthy.vm, **fields), recording)


@needs_kvm
@pytest.mark.parametrize("recorded", [False, True])
def test_every_call_fails(faulty, healthy, slow, recorded):
    """Every call that a run makes x several times x errors."""
    if not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    recording = faulty.folder / "every" if recorded else None
    for name, count in healthy.calls.items():
        for after in {0, 1, 2, count // 3, count // 2}:
            if after >= count:
                continue
            # How often some things are asked depends on the kicks, and with that on time.
            fixed = after < 2 and name != "KVM_GET_VCPU_EVENTS" or name == "KVM_RUN"
            for error in ALWAYS if after in (0, count // 3) else ALWAYS[:1]:
                failed(faulty, healthy, rule(name, vm=healthy.vm, after=after, errno=error), recording, or_not=not fixed)
            for error in AGAIN if after in (0, count // 3) else ():
                if name not in ("mmap", "timer_create"):
                    survived(faulty, healthy, rule(name, vm=healthy.vm, after=after, times=200, errno=error), recording)
    for after in range(0, healthy.calls["KVM_RUN"], 60):
        for reason, detail in ((EXIT_UNKNOWN, 1), (EXIT_FAIL_ENTRY, 7)):
            failed(faulty, healthy, rule("KVM_RUN", vm=healthy.vm, after=after, times=1, exit=reason, detail=detail), recording, or_not=True)
        for suberror in (EMULATION, SIMULTANEOUS, DELIVERY, UNEXPECTED):
            survived(faulty, healthy, rule("KVM_RUN", vm=healthy.vm, after=after, times=40, exit=EXIT_INTERNAL_ERROR, detail=suberror), recording)
    assert "gave up" in failed(faulty, healthy, rule("KVM_RUN", vm=healthy.vm, exit=EXIT_INTERNAL_ERROR, detail=EMULATION), recording)


# --- Replays on KVM


class Replayed(Healthy):
    """A replay on KVM without faults, of a recording without faults."""

    def __init__(self, faulty):
        self.recording = faulty.folder / "to_replay"
        assert faulty.run("", record=self.recording).returncode == 0
        counts = faulty.folder / "replay-calls"
        done = self.on_kvm(faulty, "", RONDO_KVM_CALLS=str(counts))
        self.count(counts)
        self.console = done.stdout

    def on_kvm(self, faulty, rules, **how):
        return faulty.command("replay", self.recording, "--engine", "kvm", "--insist", rules=rules, **how)


@pytest.fixture(scope="module")
def replayed(faulty):
    return Replayed(faulty)


def replay_fails(faulty, replayed, rules, or_not=False):
    done = replayed.on_kvm(faulty, rules)
    if or_not and done.returncode == 0:
        assert (done.stdout, done.errors) == (replayed.console, ""), rules
        return
    assert done.returncode in (1, 2) and done.errors.count("\n") == 1 and "--engine software" in done.errors, (rules, done.returncode, done.errors)
    assert replayed.console.startswith(done.stdout), rules


def replay_survives(faulty, replayed, rules):
    done = replayed.on_kvm(faulty, rules)
    assert (done.returncode, done.stdout, done.errors) == (0, replayed.console, ""), rules


@needs_kvm
def test_replay_on_kvm(faulty, replayed):
    replay_fails(faulty, replayed, rule("KVM_RUN", vm=replayed.vm, after=3, errno=errno.EFAULT))
    replay_fails(faulty, replayed, rule("KVM_GET_DIRTY_LOG", vm=replayed.vm, after=3, errno=errno.ENOENT))
    replay_survives(faulty, replayed, rule("KVM_RUN", vm=replayed.vm, after=3, times=5000, errno=errno.EINTR))


@needs_kvm
def test_every_call_of_a_replay_fails(faulty, replayed, slow):
    if not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    for name, count in replayed.calls.items():
        for after in {0, 1, count // 3, count // 2}:
            if after >= count:
                continue
            for error in ALWAYS if after == count // 3 else ALWAYS[:1]:
                replay_fails(faulty, replayed, rule(name, vm=replayed.vm, after=after, errno=error), or_not=after > 1)
            for error in AGAIN if after == count // 3 else ():
                if name not in ("mmap", "timer_create"):
                    replay_survives(faulty, replayed, rule(name, vm=replayed.vm, after=after, times=200, errno=error))


# --- Signals from elsewhere, and a disk that is full


@pytest.fixture
def long_run(faulty):
    """Starts a recorded machine that computes on KVM for minutes; gives it once its recording has grown."""
    guest = faulty.rondo.parent / "tests/guests/kvm_long.elf"
    recording = faulty.folder / "long"
    started = []

    def long_run(*more):
        shutil.rmtree(recording, ignore_errors=True)
        arguments = ["run", "--engine", "kvm", "--kernel", guest, "--memory", "16M", "--record", recording, *RECORD, *more]
        process = subprocess.Popen(
            [str(a) for a in (faulty.rondo, *arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        grow(process, recording)
        return process, recording

    yield long_run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def grow(process, recording):
    """Waits until another chunk was written."""
    log = recording / "events.log"
    size = log.stat().st_size if log.exists() else 1000
    while not log.exists() or log.stat().st_size <= size:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@needs_kvm
@pytest.mark.parametrize("name", ["SIGTERM", "SIGALRM", "SIGINT", "SIGHUP"])
def test_signal(faulty, long_run, name, slow):
    if name in ("SIGINT", "SIGHUP") and not slow:
        pytest.skip("only with RONDO_SLOW_TESTS=1")
    process, recording = long_run()
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    replayed, report = faulty.replay(recording)
    if name != "SIGALRM":  # they ask for an end
        assert (process.returncode, errors) == (1, b"")
        assert (replayed.returncode, replayed.errors) == (1, "") and report["replay"]["complete"] and report["exit"] == "stopped"
    else:
        assert process.returncode == -getattr(signal, name)
        assert replayed.returncode == 3 and report["exit"] == "recording_cut_off" and report["instructions"] > 0, replayed.errors


@needs_kvm
def test_stopped_and_continued(faulty, long_run):
    process, recording = long_run()
    for _ in range(3):
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    grow(process, recording)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")
    replayed, report = faulty.replay(recording)
    assert (replayed.returncode, replayed.errors) == (1, "") and report["replay"]["complete"]


@needs_kvm
def test_kill_at_any_time(faulty, long_run, slow):
    for n in range(40 if slow else 1):
        process, recording = long_run("--kick-every", ("50us", "1ms", "10ms")[n % 3])
        time.sleep(0.013 * (n % 30))
        process.kill()
        process.communicate()
        replayed, report = faulty.replay(recording)
        assert replayed.returncode == 3 and report["exit"] == "recording_cut_off", replayed.errors
        assert report["instructions"] > 0 and report["replay"]["hashes_checked"] > 0


@needs_kvm
def test_full_disk(faulty, tmp_path):
    """A disk with room for the images and a few chunks."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("cannot make a mount namespace here (needs root)")
    disk = tmp_path / "disk"
    disk.mkdir()
    guest = faulty.rondo.parent / "tests/guests/kvm_long.elf"
    command = f"{faulty.rondo} run --engine kvm --kernel {guest} --memory 16M --record {disk}/rec --insist --hash-interval 5 --checkpoint-interval 0 --max-wall 60s"
    script = f"mount -t tmpfs -o size=100k none {disk}; {command} </dev/null; status=$?; cp -r {disk}/rec {tmp_path}/out; exit $status"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, timeout=120)
    errors = done.stderr.decode()
    assert done.returncode == 1 and errors.count("\n") == 1 and "No space left" in errors, errors
    replayed, report = faulty.replay(tmp_path / "out")
    assert replayed.returncode == 3 and report["exit"] == "recording_cut_off", replayed.errors
    assert report["replay"]["hashes_checked"] > 0
