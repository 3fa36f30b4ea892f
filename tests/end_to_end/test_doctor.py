"""rondo doctor: what this host can guarantee, in words and as JSON."""

import json
import os
import shutil
import subprocess
import tempfile

import pytest


def doctor(rondo, *options, **how):
    return subprocess.run([rondo, "doctor", *options], capture_output=True, text=True, timeout=60, **how)


def test_text_and_json_agree(rondo):
    data = doctor(rondo, "--json")
    text = doctor(rondo)
    report = json.loads(data.stdout)
    assert data.returncode == text.returncode == (0 if report["complete"] else 3)
    conclusions = {c["id"]: c for c in report["conclusions"]}
    assert conclusions["software"]["grade"] == "yes"
    assert "software engine" in text.stdout and data.stderr == text.stderr == ""
    if not os.path.exists("/dev/kvm"):
        assert conclusions["run_kvm"]["grade"] == "no" and "is not there" in text.stdout


def test_without_permission(rondo):
    if not os.path.exists("/dev/kvm"):
        pytest.skip("no /dev/kvm on this host")
    if os.geteuid() != 0:
        pytest.skip("needs root, to become a user who may not use /dev/kvm")
    if os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("everybody may use /dev/kvm here")
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(rondo, folder)
        result = doctor(copy, user=65534, group=65534, extra_groups=[])
    assert result.returncode == 3
    assert "may not be used by this user" in " ".join(result.stdout.split())
