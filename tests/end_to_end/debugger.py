"""`rondo debug` with Debian's gdb in batch mode on it, or with bare packets."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess

QUIET = ["set pagination off", "set confirm off", "set width 0", "set style enabled off", "set debuginfod enabled off"]


class Debug:
    """A `rondo debug` that serves one gdb after the other."""

    def __init__(self, rondo, *arguments, symbols=None):
        self.symbols = symbols
        self.process = subprocess.Popen(
            [str(rondo), "debug", *map(str, arguments), "--gdb", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.said = []
        self.address = None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"target remote (\S+)", line):
                self.address = found[1]
                break
        assert self.address, self.said

    def gdb(self, *commands, timeout=300):
        """What gdb says to these commands. It stops at the first that fails."""
        if not shutil.which("gdb"):
            import pytest

            pytest.skip("gdb is not installed")
        lines = [*QUIET, f"target remote {self.address}", *commands]
        if self.symbols:
            lines.insert(0, f"file {self.symbols}")
        arguments = [part for line in lines for part in ("-ex", line)]
        done = subprocess.run(
            ["gdb", "-nx", "-batch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            text=True,
            errors="replace",
        )
        return done.stdout

    def packets(self):
        return Packets(self.address)

    def close(self):
        self.process.terminate()
        rest = self.process.communicate(timeout=60)
        self.said.append(rest[1])
        return self.process.returncode


def need_kvm():
    import pytest

    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/kvm that may be used")


def end_of_counted(rondo, recording):
    """At which instruction a recording made on KVM ends; its instructions are counted for that."""
    compared = subprocess.run([str(rondo), "diff", str(recording)], capture_output=True, text=True)
    assert compared.returncode == 0 and "the replay agrees" in compared.stdout, compared
    told = subprocess.run([str(rondo), "info", "--json", str(recording / "counted")], capture_output=True, text=True, check=True)
    return json.loads(told.stdout)["end"]["instructions"]


@contextlib.contextmanager
def debug(rondo, *arguments, symbols=None):
    server = Debug(rondo, *arguments, symbols=symbols)
    try:
        yield server
        assert server.process.poll() is None, server.process.communicate()
    finally:
        server.close()


class Packets:
    """GDB's side of the protocol, by hand."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, payload):
        data = payload.encode("latin-1")
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))

    def receive(self):
        while not (found := re.match(rb"[+-]*\$([^#]*)#..", self.pending)):
            more = self.socket.recv(65536)
            assert more, "the stub has closed the connection"
            self.pending += more
        self.pending = self.pending[found.end() :]
        self.socket.sendall(b"+")
        return found[1].decode("latin-1")

    def ask(self, payload):
        self.send(payload)
        return self.reply()[0]

    def reply(self):
        """The reply, and the text that came before it."""
        text = ""
        while (payload := self.receive())[:1] == "O" and payload != "OK":
            text += bytes.fromhex(payload[1:]).decode()
        return payload, text

    def monitor(self, command):
        self.send("qRcmd," + command.encode().hex())
        payload, text = self.reply()
        assert payload == "OK"
        return text

    def interrupt(self):
        self.socket.sendall(b"\x03")


def register(output, name):
    """The value of a register in gdb's `info registers`."""
    return int(re.search(rf"^{name}\s+(0x[0-9a-f]+)", output, re.M)[1], 16)


def places(output):
    """(count, delivery) of each `monitor when` in the output."""
    return [(int(c), int(d or 0)) for c, d in re.findall(r"^instruction (\d+)(?:, delivery (\d+))?, \d+ ns", output, re.M)]
