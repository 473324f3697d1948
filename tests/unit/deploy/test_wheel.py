"""The wheel of the project: what is in it, and that what is in it works without a checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cli.demo.samples import SOURCE_PROMPTS
from lab.studio_samples import SAMPLES
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from tests.unit.deploy.files import ROOT

PACKAGES = ("api", "cli", "s2edit_core", "s2edit_jobs", "worker")
IMPORTS = """
import json, sys, sysconfig
sys.path[:0] = [sys.argv[1]]
sys.path.append(sysconfig.get_path("purelib", vars={"base": sys.argv[2]}))
import api.app, cli.demo.demo, cli.main, s2edit_core, worker.app
from cli.checks.doctor import examine_model
from s2edit_jobs.settings import Settings
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
print(json.dumps({"files": files, "photo": cli.demo.samples.sample().photo.size, "model": examine_model(Settings()).verdict}))
"""
"""Run without site-packages' .pth files, and so without the checkout that an editable install names there."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from this checkout by the build backend. No package index is asked."""
    out = tmp_path_factory.mktemp("built")
    code = f"from hatchling.build import build_sdist, build_wheel; build_wheel({str(out)!r}); build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def in_checkout() -> set[str]:
    """Every file of the packages, by its path."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and path.suffix != ".pyc"}


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(installed: Path) -> None:
    files = {name for name in files_below(installed) if ".dist-info/" not in name}
    assert files == in_checkout()
    assert {name.split("/")[0] for name in files} == set(PACKAGES)


def test_the_packages_hold_no_weights_and_no_pictures_but_the_samples() -> None:
    heavy = (".safetensors", ".ckpt", ".png", ".jpg", ".webp", ".npy", ".npz", ".tflite", ".onnx")
    endings = (".webp", "-small.webp", "-mask.png")
    samples = {f"api/studio/static/samples/{each.name}{ending}" for each in SAMPLES for ending in endings}
    samples |= {f"cli/demo/sample/{name}{ending}" for name in SOURCE_PROMPTS for ending in (".webp", "-mask.png")}
    assert {name for name in in_checkout() if name.endswith(heavy)} == samples
    assert sum((ROOT / name).stat().st_size for name in in_checkout()) < 4_000_000


def test_the_sdist_holds_what_a_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert names - {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"} == in_checkout()


def imported(installed: Path, cwd: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, str(installed), sys.prefix],
        cwd=cwd,
        env={"S2EDIT_REDIS_URL": "redis://nowhere.test:6379/0", "PATH": "", "HOME": str(cwd)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_what_is_installed_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    """API, worker and command import from the wheel's files alone, and the demo finds its sample."""
    said = imported(installed, tmp_path)
    inside = [file for file in said["files"] if Path(file).is_relative_to(installed)]
    assert len(inside) > 60
    packages = Path(sysconfig.get_path("purelib"))
    checkout = [file for file in said["files"] if Path(file).is_relative_to(ROOT) and not Path(file).is_relative_to(packages)]
    assert checkout == []
    assert said["photo"] == [512, 512]


def test_the_shipped_model_is_found_in_the_working_directory(installed: Path, tmp_path: Path) -> None:
    """So an image that has `models/` in its working directory needs no setting. Elsewhere the name is one of the model hub."""
    assert imported(installed, tmp_path)["model"] == "note"
    (tmp_path / SHIPPED_MODEL).parent.mkdir()
    (tmp_path / SHIPPED_MODEL).symlink_to(ROOT / SHIPPED_MODEL)
    assert imported(installed, tmp_path)["model"] == "ok"


def test_the_command_that_is_installed_is_in_the_wheel(installed: Path) -> None:
    (entry_points,) = installed.glob("s2edit-*.dist-info/entry_points.txt")
    assert "s2edit = cli.__main__:main" in entry_points.read_text()
    assert (installed / "cli" / "main.py").is_file()
