from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from click.testing import Result
from PIL import Image
from redis import Redis
from typer.testing import CliRunner

from cli import main
from cli.checks.findings import Finding
from cli.client import EditClient, ServiceError
from cli.main import app
from cli.supervision.service import Service, free_port
from s2edit_core.delivery.report import OUTSIDE
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.small_disk import small_disk

runner = CliRunner()


@pytest.fixture
def _no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2EDIT_AUTH")


@pytest.mark.usefixtures("_no_mode")
@pytest.mark.parametrize(("has_key", "line"), [(False, "access open      every program on this machine"), (True, None)])
def test_it_says_when_it_asks_for_no_key(has_key: bool, line: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "run", lambda self, ready, **_: ready())
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    if has_key:
        runner.invoke(app, ["keys", "create"])
    result = runner.invoke(app, ["up"])
    assert result.exit_code == 0, result.output
    assert ("  access" in result.output) is (line is not None)
    assert (line or "") in result.output


@pytest.mark.usefixtures("_no_mode")
def test_where_keys_are_asked_for_on_this_machine_the_reason_is_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EDIT_AUTH", "keys")
    result = runner.invoke(app, ["up", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "S2EDIT_AUTH is keys, and there is no API key" in " ".join(result.output.split())


@pytest.mark.usefixtures("_no_mode")
def test_the_service_does_not_listen_beyond_this_machine_without_a_key() -> None:
    result = runner.invoke(app, ["up", "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "--allow-unauthenticated" in result.output
    assert "s2edit keys create" in result.output


@pytest.mark.usefixtures("_no_mode")
@pytest.mark.parametrize(
    ("arguments", "environment", "auth"),
    [
        ([], {}, "auto"),
        (["--host", "::1"], {}, "auto"),
        (["--host", "0.0.0.0"], {"S2EDIT_AUTH": "auto"}, "keys"),
        (["--host", "0.0.0.0"], {}, "keys"),
        (["--host", "0.0.0.0", "--allow-unauthenticated"], {}, "open"),
        (["--host", "0.0.0.0"], {"S2EDIT_AUTH": "open"}, "open"),
        ([], {"S2EDIT_AUTH": "keys"}, "keys"),
    ],
)
def test_other_machines_need_a_key(
    arguments: list[str], environment: dict[str, str], auth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Service] = []
    monkeypatch.setattr(Service, "run", lambda self, **_: started.append(self))
    for name, value in {"S2EDIT_DATA_DIR": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    runner.invoke(app, ["keys", "create"])
    result = runner.invoke(app, ["up", *arguments])
    assert result.exit_code == 0, result.output
    (service,) = started
    assert service.environment("redis://x")["S2EDIT_AUTH"] == auth


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_LEASE_S", "soon")
    result = runner.invoke(app, ["up"])
    assert result.exit_code == 1
    assert "S2EDIT_LEASE_S" in result.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLICY_BLOCK_LIST", "/nope"),
        ("POLICY_CHECKER", "no_such_module:check"),
        ("AUDIT_LOG", "/nope/a.log"),
        ("DEVICE", "cuda:99"),
    ],
)
def test_a_setting_that_no_process_could_start_with_ends_up_and_doctor(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "run", lambda self, **_: pytest.fail("it must not start"))
    monkeypatch.setenv(f"S2EDIT_{name}", value)
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("S2EDIT_TYPO", "1")
    for command in ("up", "doctor"):
        result = runner.invoke(app, [command])
        assert result.exit_code == 1, result.output
        assert f"S2EDIT_{name}" in result.output
        assert "S2EDIT_TYPO is no setting" in result.output
    assert not Path("/nope").exists()


def test_an_incomplete_model_is_reported_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["up", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "no weights in unet/" in result.output.replace("\n", " ")
    assert not (tmp_path / "data").exists()


def test_an_edit_without_a_service_names_the_command_that_starts_one(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64)).save(photo)
    url = f"http://127.0.0.1:{free_port()}"
    result = runner.invoke(
        app, ["edit", str(photo), "--mask", str(photo), "--prompt", "x", "--url", url, "-o", str(tmp_path / "o")]
    )
    assert result.exit_code == 1
    assert "s2edit up" in result.output
    assert not (tmp_path / "o").exists()


def run_edit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, output: str) -> tuple[Result, dict[str, str]]:
    """Run `s2edit edit` up to its request, and return the result of the command and the posted fields."""
    posted: dict[str, str] = {}

    def post(_client: EditClient, fields: dict[str, str], _files: object) -> str:
        posted.update(fields)
        raise ServiceError("the test ends here")

    monkeypatch.setattr(EditClient, "post", post)
    return runner.invoke(app, ["edit", "--prompt", "x", "-o", str(tmp_path / output), *arguments]), posted


def test_the_warnings_of_a_report_are_shown_and_the_picture_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = {"state": "succeeded", "identity": "c_1", "report": {"values": {"warnings": [OUTSIDE]}}}
    saved: list[Path] = []
    monkeypatch.setattr(EditClient, "post", lambda *_: "http://service.test/edits/e_1")
    monkeypatch.setattr(main, "follow", lambda *_: view)
    monkeypatch.setattr(main, "save", lambda _client, _view, output: saved.append(output))
    result = runner.invoke(app, ["edit", "--prompt", "x", "--identity", "c_1", "-o", str(tmp_path / "o.png")])
    assert (result.exit_code, saved) == (0, [tmp_path / "o.png"])
    assert result.stderr == f"s2edit: {OUTSIDE}\n"


def finished(monkeypatch: pytest.MonkeyPatch, *, result: int = 200, picture: bytes = b"png") -> None:
    """Let `s2edit edit` meet a service whose edit e_1 has succeeded. `result` is the status of its links."""
    view = {"id": "e_1", "state": "succeeded", "identity": "c_1"}
    links = {name: {"url": f"http://store.test/{name}"} for name in ("result", "mask")}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": "/edits/e_1"})
        return (
            httpx.Response(result, content=picture) if request.url.host == "store.test" else httpx.Response(200, json=view | links)
        )

    monkeypatch.setattr("cli.client.new_http", lambda: httpx.Client(transport=httpx.MockTransport(answer)))


@pytest.mark.parametrize(
    ("full", "status", "reason"),
    [("o.png", 200, "o.png can't be written"), ("mask.png", 200, "mask.png can't be written"), ("", 404, "answered 404")],
)
def test_a_finished_edit_that_cannot_be_saved_is_named_with_its_identity(
    full: str, status: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished(monkeypatch, result=status)
    if full:
        (tmp_path / full).symlink_to("/dev/full")
    result = runner.invoke(app, ["edit", "--prompt", "x", "--identity", "c_1", "-o", "o.png", "--keep-mask", "mask.png"])
    text = " ".join(result.stderr.split())
    assert result.exit_code == 1, result.output
    assert "s2edit: the edit has succeeded, but its " in text
    assert reason in text
    assert "http://127.0.0.1:8000/edits/e_1 links to it. Its identity is c_1." in text


@pytest.mark.parametrize("full", ["o.png", "mask.png"])
def test_a_full_disk_leaves_a_file_that_was_there(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished(monkeypatch, picture=b"p" * 1000)
    Path(full).write_bytes(b"earlier")
    Path("mask.png" if full == "o.png" else "o.png").symlink_to("/dev/null")
    with small_disk(100):
        result = runner.invoke(app, ["edit", "--prompt", "x", "--identity", "c_1", "-o", "o.png", "--keep-mask", "mask.png"])
    assert result.exit_code == 1, result.output
    assert f"{full} can't be written: File too large" in " ".join(result.stderr.split())
    assert Path(full).read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "o.png"]


def test_a_full_disk_ends_the_demo_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_demo(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "report-1.json")

    monkeypatch.setattr("cli.demo.demo.run_demo", run_demo)
    result = runner.invoke(app, ["demo", "--folder", str(tmp_path)])
    assert (result.exit_code, "No space left on device: 'report-1.json'" in result.stderr) == (1, True)


@pytest.mark.parametrize("option", ["--prompt", "--source-prompt", "--subject", "--at", "--preset", "--identity"])
def test_a_text_that_is_no_utf8_is_named_before_any_request(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    result = runner.invoke(app, ["edit", "--prompt", "x", "-o", str(tmp_path / "o.png"), option, "a \udcff"])
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert f"the {option[2:].replace('-', '_')} contains '\\udcff'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_files_may_have_names_that_are_no_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(monkeypatch)
    photo, output = tmp_path / "me\udcff.png", tmp_path / "o\udcff.png"
    photo.write_bytes(b"photo")
    result = runner.invoke(app, ["edit", str(photo), "--prompt", "x", "-o", str(output)])
    assert (result.exit_code, output.read_bytes()) == (0, b"png"), result.output
    assert "o\\udcff.png" in "".join(result.stdout.split())


@pytest.mark.parametrize(("output", "format"), [("o.png", "png"), ("o", "png"), ("o.jpg", "jpeg"), ("o.webp", "webp")])
def test_options_become_fields_and_the_file_name_sets_the_format(
    output: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls = ("--negative-prompt", "hat", "--strength", "0.7", "--no-keep-alpha", "--output-quality", "80")
    _, posted = run_edit(monkeypatch, tmp_path, *controls, output=output)
    assert posted == {
        "prompt": "x",
        "negative_prompt": "hat",
        "strength": "0.7",
        "output_format": format,
        "output_quality": "80",
        "keep_alpha": "False",
    }
    assert run_edit(monkeypatch, tmp_path, output=output)[1] == {"prompt": "x", "output_format": format}


@pytest.mark.parametrize("value", ["1_0", "+10", "\uff11\uff10", "\u0661", "x"])
@pytest.mark.parametrize("option", ["--steps", "--seed", "--output-quality", "--strength", "--guidance-scale"])
def test_numbers_are_written_in_decimal_digits(option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, posted = run_edit(monkeypatch, tmp_path, option, value, output="o.png")
    assert (result.exit_code, posted) == (2, {})
    assert "in digits from 0 to 9" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "arguments",
    [["up", "--port", "0"], ["mcp", "--port", "65536"], ["mcp", "--port", "8_0"], ["keys", "rotate", "k", "--grace-s", "-1"]],
)
def test_numbers_out_of_range_are_refused(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("option", "value", "sent"), [("--strength", "0.00001", "1e-05"), ("--strength", "1e-5", "1e-05"), ("--seed", "7", "7")]
)
def test_numbers_are_sent_as_the_service_reads_them(
    option: str, value: str, sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, posted = run_edit(monkeypatch, tmp_path, option, value, output="o.png")
    assert posted[option[2:].replace("-", "_")] == sent


def test_an_edit_acts_for_the_user_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(403, json={"detail": "the test ends here"})

    monkeypatch.setattr("cli.client.new_http", lambda: httpx.Client(transport=httpx.MockTransport(answer)))
    common = ["edit", "--prompt", "x", "-o", str(tmp_path / "o.png")]
    for user in (["--user", "ann"], [], ["--user", "a/b"]):
        result = runner.invoke(app, [*common, *user])
        assert result.exit_code == 1
    assert [request.headers.get("S2Edit-User") for request in sent] == ["ann", None]
    assert "'a/b' is no user" in result.stderr


def test_every_option_is_explained() -> None:
    def commands_of(group: typer.core.TyperGroup) -> Iterator[typer.core.TyperCommand]:
        for command in group.commands.values():
            yield from commands_of(command) if isinstance(command, typer.core.TyperGroup) else [command]

    commands = list(commands_of(typer.main.get_command(app)))
    assert {"up", "edit", "mcp", "rotate"} <= {command.name for command in commands}
    unexplained = [
        (command.name, option.name) for command in commands for option in command.params if not getattr(option, "help", None)
    ]
    assert unexplained == []


def test_an_unknown_output_format_is_rejected_before_any_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, posted = run_edit(monkeypatch, tmp_path, output="o.gif")
    assert (result.exit_code, posted) == (1, {})
    assert "name the file .png, .jpg or .webp" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("output", "arguments", "reason"),
    [
        ("nowhere/o.png", (), "there is no folder"),
        (".", (), "is a folder"),
        ("o.png", ("--keep-mask", "nowhere/mask.png"), "there is no folder nowhere"),
        ("o.png", ("--keep-mask", "mask.jpg"), "a mask that is found is a PNG"),
        ("o.png", ("--mask", "sent.webp", "--keep-mask", "mask.png"), "name the file .webp"),
        ("o.png", ("--keep-mask", "o.png"), "two outputs have the same file"),
        ("o.png", ("--keep-mask", "./folder/../o.png"), "two outputs have the same file"),
        ("o.png", ("--keep-mask", "symlink.png"), "two outputs have the same file"),
        ("old.png", ("--keep-mask", "hardlink.png"), "two outputs have the same file"),
        ("hardlink.png", ("old.png",), "hardlink.png is to be read and written"),
        ("o.png", ("old.png", "--keep-mask", "hardlink.png"), "hardlink.png is to be read and written"),
        ("o.png", ("--edit-mask", "old.png", "--keep-mask", "old.png"), "old.png is to be read and written"),
    ],
)
def test_files_that_cannot_be_written_are_named_before_any_request(
    output: str, arguments: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "symlink.png").symlink_to("o.png")
    for name in ("sent.webp", "old.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "hardlink.png").hardlink_to("old.png")
    result, posted = run_edit(monkeypatch, tmp_path, *arguments, output=output)
    assert (result.exit_code, posted) == (1, {})
    assert reason in " ".join(result.output.split())


def test_doctor_exits_with_one_if_a_part_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "broken" in result.output


def test_doctor_examines_the_folder_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.main.examine", lambda settings: [Finding("store", "ok", settings.data_dir.name)])
    assert "my-data" in runner.invoke(app, ["doctor", "--data-dir", str(tmp_path / "my-data")]).output


def test_doctor_aligns_the_texts_of_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("versions", "segmenter", "captioner", "safety_checker", "a_part_with_a_long_name")
    monkeypatch.setattr("cli.main.examine", lambda _: [Finding(part, "ok", "none") for part in parts])
    lines = runner.invoke(app, ["doctor"]).output.splitlines()
    assert [line.split() for line in lines] == [["ok", part, "none"] for part in parts]
    assert len({line.rindex("none") for line in lines[:3]}) == 1


def test_rebuild_restores_the_edits_that_redis_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        monkeypatch.setenv("S2EDIT_REDIS_URL", server.url)
        monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
        services = build_services(Settings())
        jobs = Jobs(services)
        files = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
        accepted = jobs.accept(draft(services, Owner("app", "ann"), EditRequest(prompt="a woman"), files), files)
        Redis.from_url(server.url).flushall()
        result = runner.invoke(app, ["rebuild"])
        assert (result.exit_code, result.output) == (0, "entered again: 1 unfinished edit; all others were there\n")
        assert services.store.leases.orphans() == [accepted.id]


def test_rebuild_uses_the_redis_of_a_running_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("S2EDIT_REDIS_URL", raising=False)
    with EmbeddedRedis(tmp_path / "redis"):
        result = runner.invoke(app, ["rebuild"])
    assert (result.exit_code, "0 unfinished edits" in result.output) == (0, True), result.output


def test_rebuild_without_a_redis_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    result = runner.invoke(app, ["rebuild"])
    assert result.exit_code == 1
    assert "S2EDIT_REDIS_URL" in result.output
