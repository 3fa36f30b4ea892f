"""The part of the package's build that pyproject.toml cannot say: the extension module comes from CMake."""

import pathlib
import sys

from setuptools import Extension, setup

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "harness" / "python"))
from cmake_build import CMakeBuild  # noqa: E402

setup(ext_modules=[Extension("rondo._rondo", sources=[])], cmdclass={"build_ext": CMakeBuild})
