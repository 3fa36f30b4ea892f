"""The scripts that people run."""

import pathlib
import subprocess

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def test_initramfs_is_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        subprocess.run([str(SCRIPTS / "make-initramfs"), str(tmp_path / name)], check=True, timeout=60)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_initramfs_without_an_init_script(tmp_path):
    process = subprocess.run([str(SCRIPTS / "make-initramfs"), str(tmp_path / "a"), str(tmp_path / "nothing")], capture_output=True, timeout=60)
    assert process.returncode == 2 and process.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


def test_setup_says_nothing_when_nothing_is_missing():
    process = subprocess.run([str(SCRIPTS / "setup")], capture_output=True, timeout=600)
    assert process.returncode == 0 and process.stdout == process.stderr == b""


def test_summary_counts(tmp_path):
    (tmp_path / "one.xml").write_text(
        '<testsuites><testsuite><testcase name="a" status="run"/><testcase name="b" status="fail"><failure/></testcase>'
        '<testcase name="c"><skipped message="no kernel"/></testcase><testcase name="d" status="notrun"/></testsuite></testsuites>'
    )
    process = subprocess.run([str(SCRIPTS / "summarize-results"), str(tmp_path), "0"], capture_output=True, text=True, timeout=60)
    assert process.returncode == 1
    lines = process.stdout.splitlines()
    assert lines[-1] == "1 passed, 1 failed, 2 skipped"
    assert "skipped: one:  c: no kernel" in lines
    broken = subprocess.run([str(SCRIPTS / "summarize-results"), str(tmp_path), "1"], capture_output=True, text=True, timeout=60)
    assert broken.stdout.splitlines()[-1] == "1 passed, 2 failed, 2 skipped"
