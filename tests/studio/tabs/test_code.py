"""The last request as code: each of the three programs does what the page has done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at

IN_PAGE = """async ([code, files, key]) => {
  for (const [name, url, file] of files) {
    const input = Object.assign(document.createElement('input'), {type: 'file', id: name});
    const chosen = new DataTransfer();
    chosen.items.add(new File([await (await fetch(url)).blob()], file));
    input.files = chosen.files;
    document.body.prepend(input);
  }
  const picture = document.createElement('img');
  document.body.prepend(picture);
  await new (Object.getPrototypeOf(async () => {}).constructor)('key', code)(key);
  return picture.src;
}"""


def code(page: Page, language: str) -> str:
    page.get_by_role("button", name=language, exact=True).click()
    return page.locator("#code code").inner_text()


def run(command: list[str], folder: Path, key: str) -> str:
    environment = {**os.environ, "S2EDIT_API_KEY": key}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl_and_python_repeat_the_last_edit(open_studio: OpenStudio, service: Service, tmp_path: Path) -> None:
    key = service.new_key("code")
    page, _ = open_studio(key=key)
    acting.open_tab(page, "Code")
    expect(page.locator("#code")).to_contain_text("The last one will be here")
    look_at(page, "code-empty", at=".panel")
    acting.sample(page)
    acting.open_tab(page, "Edit")
    acting.edit(page, 'a hat that\'s "red" & $HOME')
    acting.result(page)
    acting.open_tab(page, "Code")
    for name in ("image.webp", "mask.png"):
        with page.expect_download() as saving:
            page.get_by_role("link", name=f"Save {name}").click()
        saving.value.save_as(tmp_path / name)
    shell, python = code(page, "curl"), code(page, "Python")
    look_at(page, "code", at=".panel")
    assert key not in shell + python + code(page, "fetch")
    answer = run(["bash", "-c", shell], tmp_path, key)
    assert '"state":"succeeded"' in answer.replace(" ", "")
    run([sys.executable, "-c", python], tmp_path, key)
    assert Image.open(tmp_path / "result.png").size == (512, 512)
    with service.client(key) as api:
        edits = [api.get(f"/edits/{one['id']}").json() for one in api.get("/edits", params={"kind": "edit"}).json()["items"]]
    assert len(edits) == 3
    assert len({(one["report"]["values"]["prompt"], one["identity"]) for one in edits}) == 1


def test_fetch_repeats_the_last_edit(open_studio: OpenStudio, service: Service) -> None:
    """Run the code in a page without a policy, because the studio's own permits no code from strings."""
    key = service.new_key("fetch")
    page, watch = open_studio(key=key)
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    acting.open_tab(page, "Code")
    text = code(page, "fetch")
    assert "Authorization: `Bearer ${key}`" in text
    page.route("**/plain", lambda route: route.fulfill(body="<!doctype html><title>A page</title>", content_type="text/html"))
    page.goto(f"{service.url}/plain")
    watch.allow("favicon")
    sample = f"{service.url}/studio/samples/hair"
    files = [["image", f"{sample}.webp", "image.webp"], ["mask", f"{sample}-mask.png", "mask.png"]]
    url = page.evaluate(IN_PAGE, [text, files, key])
    with service.client(key) as api:
        edits = [api.get(f"/edits/{one['id']}").json() for one in api.get("/edits", params={"kind": "edit"}).json()["items"]]
        assert [one["report"]["values"]["prompt"] for one in edits] == 2 * ["a photo of a [I] woman with long red hair"]
        assert edits[0]["id"] in url
        assert api.get(url).status_code == 200


def test_every_request_that_changes_something_can_be_repeated(open_studio: OpenStudio, service: Service, tmp_path: Path) -> None:
    key = service.new_key("changes")
    page, _ = open_studio(key=key)
    acting.sample(page)
    acting.open_tab(page, "People")
    page.get_by_label("Keep this person as").fill("Ada")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Erase Ada").click()
    acting.open_tab(page, "Code")
    assert "identities" in code(page, "Python")
    acting.open_tab(page, "People")
    page.get_by_role("button", name="Erase for good").click()  # the card still asks
    expect(page.locator(".receipt")).to_be_visible()
    acting.open_tab(page, "Code")
    shell = code(page, "curl")
    assert "-X DELETE" in shell
    assert '"code":"not_found"' in run(["bash", "-c", shell], tmp_path, key).replace(" ", "")


def test_code_of_requests_without_files_runs_in_all_three_languages(
    open_studio: OpenStudio, service: Service, tmp_path: Path
) -> None:
    """An edit that goes on from another, an edit of a known person, a new name, and an erasure."""
    key = service.new_key("without-files")
    page, watch = open_studio(key=key)
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    programs = []
    page.get_by_role("button", name="Go on from here").click()
    acting.edit(page, "smiling")
    acting.result(page)
    programs.append(programs_of(page))
    page.get_by_role("button", name="Three more").click()
    expect(page.locator("#strip button")).to_have_count(6)  # with the photo
    programs.append(programs_of(page))
    acting.open_tab(page, "People")
    page.locator("#people input.name").fill('Ada "A" 😀')
    page.locator("#people input.name").press("Enter")
    programs.append(programs_of(page))
    page.get_by_role("tab", name="People").click()
    page.locator("#people input.name").fill("")
    page.locator("#people input.name").press("Enter")
    programs.append(programs_of(page))
    page.get_by_role("tab", name="People").click()
    page.get_by_role("button", name="Use").click()
    page.get_by_label("What shall be different?").fill("red hair")
    acting.edit(page)
    acting.result(page)
    programs.append(programs_of(page))
    page.route("**/plain", lambda route: route.fulfill(body="<!doctype html><title>A page</title>", content_type="text/html"))
    page.goto(f"{service.url}/plain")
    watch.allow("favicon")
    for program in programs:
        assert "=@" not in program["curl"]  # there are no files
        answer = json.loads(run(["bash", "-c", program["curl"]], tmp_path, key))
        assert answer.get("state", "succeeded") == "succeeded", answer
        run([sys.executable, "-c", program["Python"]], tmp_path, key)
        page.evaluate(IN_PAGE, [program["fetch"], [], key])
    with service.client(key) as api:
        edits = api.get("/edits", params={"kind": "edit", "limit": 100}).json()["items"]
        assert [edit["state"] for edit in edits] == 13 * ["succeeded"]  # four of the page, and three of them thrice by code


def programs_of(page: Page) -> dict[str, str]:
    """Return the last request in each language."""
    acting.open_tab(page, "Code")
    found = {language: code(page, language) for language in ("curl", "Python", "fetch")}
    acting.open_tab(page, "Edit")
    return found
