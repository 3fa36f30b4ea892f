"""Lets `pip install .` build the extension module with CMake (see setup.py)."""

import pathlib
import subprocess
import sys

from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parents[2]


class CMakeBuild(build_ext):
    def build_extension(self, extension):
        build = pathlib.Path(self.build_temp).resolve()
        target = pathlib.Path(self.get_ext_fullpath(extension.name)).resolve()
        configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DRONDO_TESTS=OFF"]
        subprocess.run([*configure, f"-DPYTHON_EXECUTABLE={sys.executable}"], check=True)
        subprocess.run(["cmake", "--build", str(build), "--target", "_rondo"], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        built = next((build / "python" / "rondo").glob("_rondo*.so"))
        self.copy_file(str(built), str(target))
