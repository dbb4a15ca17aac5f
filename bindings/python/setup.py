"""Builds the native library with cargo, in the repository that this folder is a part of, and puts it into the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

REPOSITORY = Path(__file__).resolve().parents[2]
# Tests build faster: KINESIS_PRODUCER_PROFILE=dev.
PROFILE = os.environ.get("KINESIS_PRODUCER_PROFILE", "dist")
LIBRARY = "libkinesis_producer" + (".dylib" if sys.platform == "darwin" else ".so")


class BuildWithCargo(build_py):
    def run(self):
        super().run()
        # The embedded service comes along: it is how an application's tests go without AWS.
        command = ["cargo", "build", "--profile", PROFILE, "-p", "kinesis-producer-c", "--features", "local"]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        target = Path(REPOSITORY, os.environ.get("CARGO_TARGET_DIR", "target"))
        # An editable installation runs from this folder.
        package = Path(__file__).resolve().parent if self.editable_mode else Path(self.build_lib)
        package = package / "kinesis_producer"
        package.mkdir(parents=True, exist_ok=True)
        built = target / ("debug" if PROFILE == "dev" else PROFILE) / LIBRARY
        shutil.copy2(built, package / LIBRARY)


class PlatformWheel(bdist_wheel):
    """One wheel for every Python 3 of a platform: the library knows nothing of Python."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_py": BuildWithCargo, "bdist_wheel": PlatformWheel})
