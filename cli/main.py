"""Run the s2edit service, check an installation, and edit photos through a running service."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from cli import keys
from cli.checks.doctor import adopt as adopt_store
from cli.checks.doctor import examine
from cli.checks.setting_checks import broken_settings, check_device, ignored_variables
from cli.client import DEFAULT_URL, EditClient, ServiceError
from cli.display import console, errors, follow, progress_bars, save
from cli.mcp_server.command import mcp
from cli.supervision.processes import StartFailed
from cli.supervision.service import WORKER_APP, Address, Service, parts
from cli.terminal import decimal, in_options, print_any_text, whole
from cli.terminal import fail as _fail
from cli.terminal import settings_with as _settings
from s2edit_core.commands.outputs import check_distinct, check_mask_name, check_spares
from s2edit_core.delivery import watermark as mark
from s2edit_core.delivery.output import check_writable, format_of
from s2edit_core.errors import ImageInvalid, ModelUnusable, OptionInvalid
from s2edit_core.pictures.files import decode_photo
from s2edit_core.request.texts import counted
from s2edit_jobs.access.keys import KeyRing, open_to
from s2edit_jobs.bootstrap import NotConfigured, build_artifacts, build_services
from s2edit_jobs.data_folder import disk_problem
from s2edit_jobs.lifecycle.survey import rebuild as rebuild_job_store
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.auxiliary_models import check_auxiliary_models
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from s2edit_jobs.stores.model_facts import inspect_model

app = typer.Typer(help=__doc__, callback=print_any_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")
app.command()(mcp)


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, whole(1, 65_535, help="Port to listen on.")] = 8000,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for all data of the service. [S2EDIT_DATA_DIR]")] = None,
    allow_unauthenticated: Annotated[
        bool,
        typer.Option("--allow-unauthenticated", help="Let anybody who reaches the port edit, from other machines too."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print the logs of the API and the worker instead of writing them to files.")
    ] = False,
    worker_app: Annotated[str, typer.Option(help="Celery app of the worker, to use an engine of your own.")] = WORKER_APP,
) -> None:
    """Run the whole service on this machine, until Ctrl-C."""
    address = Address(host, port)
    auth = _who_may_call(address, allow_unauthenticated)
    settings = _settings(data_dir=data_dir, auth=auth)
    if "public_url" not in settings.model_fields_set:
        settings = _settings(data_dir=data_dir, auth=auth, public_url=address.url)
    _check_settings(settings)
    _check_keys(settings, address)
    try:
        inspect_model(settings.model)
        check_auxiliary_models(settings)
    except ModelUnusable as error:
        _fail(str(error))
    service = Service(settings, address, logs=None if verbose else settings.data_dir / "logs", worker_app=worker_app)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        service.run(stop=stop, ready=lambda: _banner(service), report=_report)
        console.print("s2edit has stopped; unfinished edits continue at its next start", soft_wrap=True)
    except (StartFailed, EmbeddedRedisError) as error:
        _fail(str(error))
    except OSError as error:  # such as a full disk
        _fail(disk_problem(settings.data_dir) or f"{error.filename or settings.data_dir} can't be used: {error.strerror or error}")


def _check_settings(settings: Settings) -> None:
    """Exit with a line per setting that a process can't start with, and report variables that are no settings."""
    for text in ignored_variables():
        _report(text)
    try:
        check_device(settings)
    except NotConfigured as error:
        _fail(str(error))
    if broken := list(broken_settings(settings)):
        _fail("\ns2edit: ".join(broken))


def _report(text: str) -> None:
    errors.print(f"s2edit: {text}", markup=False, soft_wrap=True)


def _who_may_call(address: Address, anybody: bool) -> str | None:
    """Return the `auth` that overrides the setting, or None. By default, this machine needs no key and other machines do."""
    if anybody:
        return "open"
    settings = _settings()
    is_chosen = "auth" in settings.model_fields_set
    if address.is_loopback:
        return None if is_chosen else "auto"
    return "keys" if settings.auth == "auto" else None


def _check_keys(settings: Settings, address: Address) -> None:
    try:
        if settings.auth == "keys" and not KeyRing(build_artifacts(settings)).any_active():
            reason = "S2EDIT_AUTH is keys" if address.is_loopback else f"other machines can reach {address.host}"
            _fail(
                f"{reason}, and there is no API key: create one with `s2edit keys create`, "
                "or start without keys by --allow-unauthenticated"
            )
    except (ServiceUnavailable, NotConfigured) as error:
        _fail(str(error))


def _banner(service: Service) -> None:
    url = service.address.url
    lines = [f"s2edit is ready at {url} (open it in a browser, or read {url}/docs)"]
    lines += [f"  {name:6} {kind:9} {where}" for name, kind, where in parts(service.settings)]
    lines += [f"  {'access':6} {'open':9} {people}"] if (people := _open_to(service.settings)) else []
    lines += [f"  {'logs':6} {'':9} {service.logs}"] if service.logs else []
    lines += ["  Ctrl-C stops it."]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _open_to(settings: Settings) -> str | None:
    with suppress(ServiceUnavailable, NotConfigured):
        return open_to(settings.auth, KeyRing(build_artifacts(settings)))
    return None


@app.command()
def housekeeper() -> None:
    """Recover edits, end overdue ones, send webhooks, complete erasures and run test edits, until Ctrl-C. Needs no GPU.

    `s2edit up` starts one. On several hosts, run at least one; any number may run at a time.
    """
    from worker.housekeeper import HousekeeperProcess

    try:
        HousekeeperProcess(_settings()).run()
    except NotConfigured as error:
        _fail(str(error))


@app.command()
def doctor(
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Before, declare the object store in the settings the right one. See the docs.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for all data of the service. [S2EDIT_DATA_DIR]")] = None,
) -> None:
    """Check each part of the installation. Exits with 1 if one is broken."""
    settings = _settings(data_dir=data_dir)
    if adopt:
        _adopt(settings)
    colours = {"ok": "green", "note": "yellow", "broken": "red"}
    broken = False
    for finding in examine(settings):
        console.print(f"[{colours[finding.verdict]}]{finding.verdict:7}[/] {finding.part:18} ", end="")
        console.print(finding.text, markup=False, soft_wrap=True)
        broken |= finding.verdict == "broken"
    raise typer.Exit(1 if broken else 0)


def _adopt(settings: Settings) -> None:
    try:
        console.print(f"the service's object store is now {adopt_store(settings)}", markup=False)
    except (ServiceUnavailable, EmbeddedRedisError, NotConfigured) as error:
        _fail(str(error))


@app.command()
def rebuild() -> None:
    """Restore Redis from the object store: every unfinished edit. A housekeeper does this itself when Redis has lost its data."""
    try:
        entered = rebuild_job_store(build_services(_with_running_redis(_settings())))
    except (NotConfigured, ServiceUnavailable) as error:
        _fail(str(error))
    console.print(f"entered again: {counted(entered, 'unfinished edit')}; all others were there")


def _with_running_redis(settings: Settings) -> Settings:
    """Return the settings with the address of the Redis that `s2edit up` runs for this data folder, if they name none."""
    redis = EmbeddedRedis(settings.redis_dir)
    if settings.redis_url or not redis.has_socket:
        return settings
    return settings.model_copy(update={"redis_url": redis.url})


@app.command()
def edit(
    prompt: Annotated[str, typer.Option(help="Description of the edited picture.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the result: .png, .jpg or .webp.")],
    photo: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="The photo. Omit it with --identity.")] = None,
    mask: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="White on the person. Without it the service finds the person.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="X,Y", help="A pixel of the person to edit, if no mask is given and there are several.")
    ] = None,
    keep_mask: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for the mask that the edit used; a PNG if the service found it.")
    ] = None,
    edit_mask: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="White where the photo may change. Left out: the mask and a margin."),
    ] = None,
    mask_mode: Annotated[
        str | None, typer.Option(help="How the mask marks the region: auto (default), luminance, alpha or inverted_alpha.")
    ] = None,
    edit_mask_mode: Annotated[str | None, typer.Option(help="How the edit mask does. Left out: as --mask-mode.")] = None,
    source_prompt: Annotated[
        str | None, typer.Option(help="Description of the photo as it is. It makes the edit more exact.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The one to four words of the prompts that name the person.")] = None,
    identity: Annotated[str | None, typer.Option(help="Id of an identity that an earlier edit learned.")] = None,
    preset: Annotated[str | None, typer.Option(help="balanced (the service's default), instant or paper.")] = None,
    steps: Annotated[int | None, whole(help="Denoising steps, 2 to 999. Left out: the preset's.")] = None,
    guidance_scale: Annotated[
        float | None, decimal(help="How strongly the prompt steers the result, 1 to 30. Left out: the model's.")
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What the picture must not show.")] = None,
    strength: Annotated[float | None, decimal(help="Above 0, at most 1: how far back towards noise the edit starts.")] = None,
    output_quality: Annotated[int | None, whole(help="Quality of a .jpg or .webp, 1 to 100 (lossless .webp).")] = None,
    keep_alpha: Annotated[
        bool | None,
        typer.Option("--keep-alpha/--no-keep-alpha", help="Keep the transparency of the photo, or flatten it on white."),
    ] = None,
    seed: Annotated[int | None, whole(help="Random seed. Equal inputs and seeds give equal pictures.")] = None,
    url: Annotated[str, typer.Option(help="Address of the running service.")] = DEFAULT_URL,
    api_key: Annotated[str | None, typer.Option(envvar="S2EDIT_API_KEY", show_envvar=True, help="API key, if required.")] = None,
    user: Annotated[str | None, typer.Option(help="User that the edit is for, with an API key. [S2Edit-User]")] = None,
) -> None:
    """Edit a photo through a running service, and save the result."""
    try:
        output_format = format_of(output)
        check_writable(output)
        check_spares(output, (photo, mask, edit_mask))
        if keep_mask is not None:
            check_writable(keep_mask)
            _check_mask_name(keep_mask, mask)
            check_distinct([output, keep_mask])
            check_spares(keep_mask, (photo, edit_mask))
    except OptionInvalid as error:
        _fail(str(error))
    fields = {
        "prompt": prompt,
        "at": at,
        "mask_mode": mask_mode,
        "edit_mask_mode": edit_mask_mode,
        "source_prompt": source_prompt,
        "subject": subject,
        "identity": identity,
        "preset": preset,
        "steps": steps,
        "guidance_scale": guidance_scale,
        "negative_prompt": negative_prompt,
        "strength": strength,
        "output_format": output_format,
        "output_quality": output_quality,
        "keep_alpha": keep_alpha,
        "seed": seed,
    }
    pictures = {"image": photo, "mask": mask, "edit_mask": edit_mask}
    try:
        with EditClient(url, api_key=api_key, user=user) as client:
            location = client.post(
                {name: str(value) for name, value in fields.items() if value is not None},
                {name: path for name, path in pictures.items() if path is not None},
            )
            with progress_bars() as bars:
                view = follow(client, location, "edit", bars)
            save(client, view, output)
            if keep_mask is not None and view.get("mask"):
                save(client, view, keep_mask, "mask")
    except ServiceError as error:
        _fail(in_options(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'} can't be read: {error.strerror or error}")
    for warning in ((view.get("report") or {}).get("values") or {}).get("warnings", ()):
        errors.print(f"s2edit: {warning}", markup=False, soft_wrap=True)
    console.print(f"{output}  (identity {view['identity']}: pass it as --identity to edit this person again)", soft_wrap=True)


def _check_mask_name(keep_mask: Path, mask: Path | None) -> None:
    """Raise `OptionInvalid` unless the name says what the file will hold: the mask as it was sent, or the PNG of a found one."""
    if mask is None:
        check_mask_name(keep_mask)
    elif keep_mask.suffix.lower() != mask.suffix.lower():
        raise OptionInvalid(f"the mask is kept as it was sent: name the file {mask.suffix}, not {keep_mask}", field="keep_mask")


@app.command()
def watermark(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A picture.")]) -> None:
    """Check a picture for s2edit's watermark. Exits with 0 if it is there, with 1 if not, with 2 if the file can't be read."""
    try:
        picture = decode_photo(file.read_bytes())
    except (ImageInvalid, OSError) as error:
        errors.print(f"s2edit: {file}: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if not mark.fits(picture.size):
        console.print(f"not marked: {mark.facts(picture.size)['reason']}", soft_wrap=True)
        raise typer.Exit(1)
    reading = mark.read(picture)
    bits = f"{reading.right} of {mark.BITS} bits are right, {mark.BITS - mark.WRONG} are needed"
    verdict = "marked" if reading.found else "not marked"
    console.print(f"{verdict}: {bits}; chance of so many by luck: {reading.chance:.2g}", soft_wrap=True)
    raise typer.Exit(0 if reading.found else 1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the pictures and reports.")] = Path("demo-out"),
    preset: Annotated[str | None, typer.Option(help="balanced (the service's default), paper or instant.")] = None,
    figures: Annotated[Path | None, typer.Option(help="JSON file for the timings.")] = None,
) -> None:
    """Start a service, edit a person, a cat and a church, transfer a makeup, and show the results, reports and timings."""
    from cli.demo.demo import run_demo

    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        run_demo(folder, preset=preset, figures=figures)
    except (ServiceError, StartFailed, OSError) as error:
        _fail(f"{error}\nthe logs are in {folder / 'data' / 'logs'}")


if __name__ == "__main__":
    app()
