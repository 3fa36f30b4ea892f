"""docs/recording-format.md says all that the schemas hold, and nothing else."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = [ROOT / "replay/format/recording.fbs", ROOT / "replay/checkpoint/checkpoint.fbs"]
DOCUMENT = (ROOT / "docs/recording-format.md").read_text()


def declarations():
    """Every table, structure and union of the schemas: its name, and the names of what it has."""
    found = {}
    for schema in SCHEMAS:
        text = re.sub(r"//.*", "", schema.read_text())
        for kind, name, body in re.findall(r"\b(table|struct|union|enum)\s+(\w+)[^{]*\{([^}]*)\}", text):
            found[name] = re.findall(r"(\w+)\s*:", body) if kind in ("table", "struct") else re.findall(r"\w+", body)
    return found


def described(name):
    """What the document's section on it has rows for."""
    section = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", DOCUMENT, re.M | re.S)
    return re.findall(r"^\| `(\w+)` \|", section[1], re.M) if section else None


@pytest.mark.parametrize("name", declarations())
def test_every_field_and_kind_is_described(name):
    assert described(name) == declarations()[name]


def test_no_section_is_of_something_that_is_gone():
    assert set(re.findall(r"^### `(\w+)`", DOCUMENT, re.M)) == set(declarations())


def test_the_version_is_the_programs():
    major, minor = re.search(r"kFormatVersion\{(\d+), (\d+)\}", (ROOT / "replay/format/manifest.h").read_text()).groups()
    assert DOCUMENT.startswith(f"# The recording format, version {major}.{minor}\n")
    assert re.search(r"^\| version \| .*\n\|---\|---\|\n\| (\S+) \|", DOCUMENT, re.M)[1] == f"{major}.{minor}"


def test_the_magics_are_the_programs():
    sources = "".join(path.read_text() for folder in ("format", "checkpoint", ".") for path in (ROOT / "replay" / folder).glob("*.[ch]*"))
    assert set(re.findall(r'"(RONDO[A-Z]{3})"', sources)) == set(re.findall(r"`(RONDO[A-Z]{3})`", DOCUMENT))
