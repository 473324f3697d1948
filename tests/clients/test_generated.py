"""Generated files: the committed schema is the API's, and builds of the Python client generate the code that the tests run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from attrs import fields
from s2edit_client.rest import models
from s2edit_client.rest.types import UNSET

from cli.openapi import text
from s2edit_jobs.settings import ROOT

CLIENTS = ROOT / "clients"
PACKAGE = CLIENTS / "python" / "s2edit_client"
WRITTEN_BY_HAND = {"__init__.py", "connections.py", "events.py", "py.typed", "waiting.py"}


def enums_of(hint: Any) -> list[type[StrEnum]]:
    """Return the enumerations in a type, such as `Preset | Unset` or `list[Scope] | None`."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return [hint]
    return [enum for part in get_args(hint) for enum in enums_of(part)]


def choices(model: type) -> Iterator[tuple[str, StrEnum, bool]]:
    """Yield each choice in a request, a member of its enumeration, and whether the request takes a list of them."""
    for name, hint in get_type_hints(model, None, {**vars(models), **vars(sys.modules[model.__module__])}).items():
        for enum in enums_of(hint):
            yield name, next(iter(enum)), "list[" in str(hint)


def with_choice(model: type, name: str, value: object) -> Any:
    """Return a request that holds one choice and nothing else."""
    made = model.__new__(model)
    for field in fields(model):
        setattr(made, field.name, {} if field.name == "additional_properties" else UNSET)
    setattr(made, name, value)
    return made


def test_a_choice_is_a_plain_string_or_the_member_of_its_enumeration() -> None:
    seen = set()
    requests = [model for name, model in vars(models).items() if name.endswith(("Form", "Document", "Request"))]
    for model in requests:
        for name, member, many in choices(model):
            values = [[one] if many else one for one in (member, member.value)]
            for write in {"to_dict", "to_multipart"} & set(dir(model)):
                of_member, of_string = (getattr(with_choice(model, name, value), write)() for value in values)
                assert of_string == of_member, (model, name)
                assert str(member) in str(of_string)
                seen.add(f"{model.__name__}.{name}.{write}")
    assert {f"EditForm.{name}.to_multipart" for name in ("preset", "output_format", "mask_mode", "edit_mask_mode")} <= seen
    assert {"IdentityForm.preset.to_multipart", "AttributeForm.mask_mode.to_multipart", "TokenRequest.scopes.to_dict"} <= seen
    assert "UploadRequest.media_type.to_dict" in seen


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of `clients/` as in git, without generated files."""
    folder = tmp_path / "clients"
    generated = shutil.ignore_patterns("rest", ".rest-*", "__pycache__")
    shutil.copytree(CLIENTS / "python", folder / "python", ignore=generated)
    shutil.copy(CLIENTS / "openapi.json", folder)
    return folder


def build(project: Path, target: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Call the build backend as pip does, in its own process and the project's folder, but without a package index."""
    out.mkdir(exist_ok=True)
    code = f"import hatchling.build; hatchling.build.build_{target}({str(out)!r})"
    return subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)


def built(project: Path, target: str, out: Path) -> Path:
    done = build(project, target, out)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.iterdir()
    return file


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel by name, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def generated(package: Path) -> dict[str, bytes]:
    """Return the files of the generated folder `rest`, by their names in a wheel."""
    files = [path for path in (package / "rest").rglob("*.py*") if path.suffix != ".pyc"]
    return {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in files}


def test_the_schema_is_what_the_app_says() -> None:
    assert (CLIENTS / "openapi.json").read_text(encoding="utf-8") == text(), "run `make clients` and commit clients/openapi.json"


def test_a_wheel_from_a_fresh_checkout_has_the_code_that_the_tests_run(checkout: Path, tmp_path: Path) -> None:
    files = contents(built(checkout / "python", "wheel", tmp_path / "wheel"))
    by_hand = {f"s2edit_client/{name}": (PACKAGE / name).read_bytes() for name in WRITTEN_BY_HAND}
    assert len(files) > 50
    assert files == by_hand | generated(PACKAGE), "the checkout's s2edit_client/rest is out of date: `make check` generates it"


def test_a_wheel_from_an_sdist_is_the_same(checkout: Path, tmp_path: Path) -> None:
    (checkout / "python" / "s2edit_client" / "rest").mkdir()
    (checkout / "python" / "s2edit_client" / "rest" / "stale.py").touch()
    sdist = built(checkout / "python", "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert not (source / "s2edit_client" / "rest").exists()
    shutil.rmtree(checkout)
    again = built(source, "sdist", tmp_path / "again")
    assert again.name == sdist.name
    assert generated(PACKAGE).items() <= contents(built(source, "wheel", tmp_path / "wheel")).items()


def test_an_editable_install_generates_beside_what_is_written_by_hand(checkout: Path, tmp_path: Path) -> None:
    project = checkout / "python"
    (path_file,) = contents(built(project, "editable", tmp_path / "wheel")).values()
    assert path_file.decode().strip() == str(project)
    assert generated(project / "s2edit_client") == generated(PACKAGE)


def test_a_build_without_the_schema_says_what_is_missing(checkout: Path, tmp_path: Path) -> None:
    (checkout / "openapi.json").unlink()
    for target in ("wheel", "sdist"):
        done = build(checkout / "python", target, tmp_path / target)
        assert done.returncode != 0
        assert f"no openapi.json in {checkout / 'python'} or {checkout}: build from the repository" in done.stderr


def test_a_schema_that_cannot_be_generated_from_fails_the_build_and_keeps_the_old_code(checkout: Path, tmp_path: Path) -> None:
    old = checkout / "python" / "s2edit_client" / "rest" / "old.py"
    old.parent.mkdir()
    old.touch()
    schema = json.loads((checkout / "openapi.json").read_text(encoding="utf-8"))
    schema["components"]["schemas"]["Edit"] = {"$ref": "#/components/schemas/Nothing"}
    (checkout / "openapi.json").write_text(json.dumps(schema), encoding="utf-8")
    done = build(checkout / "python", "wheel", tmp_path / "wheel")
    assert done.returncode != 0
    assert "openapi-python-client failed" in done.stderr
    assert "Nothing" in done.stderr
    assert old.exists()
    assert not list((checkout / "python").glob(".rest-*"))


def test_the_generator_that_a_build_asks_for_is_the_one_of_the_tests() -> None:
    requires = tomllib.loads((CLIENTS / "python" / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    (generator,) = [line for line in requires if line.startswith("openapi-python-client")]
    assert re.fullmatch(r"openapi-python-client==[\d.]+", generator)
    assert generator in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
