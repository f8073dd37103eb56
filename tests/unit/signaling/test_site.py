import shutil
from pathlib import Path

import pytest
from callcluster_signaling.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    web = tmp_path / "web"
    (web / "app").mkdir(parents=True)
    (web / "sdk").mkdir()
    (web / "app" / "index.html").write_text("<!doctype html>")
    (web / "sdk" / "worker.js").write_text("export {}")
    (web / "sdk" / "notes.key").write_text("secret")
    (web / "package.json").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (web / "app" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return Site(web)


def test_the_root_is_the_app(site: Site) -> None:
    answer = site.answer("/", None)
    assert (answer.status_code, answer.body) == (200, b"<!doctype html>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


def test_scripts_have_the_type_that_browsers_insist_on(site: Site) -> None:
    assert site.answer("/sdk/worker.js?v=1", None).headers["Content-Type"].startswith("text/javascript")


def test_every_answer_keeps_the_page_to_itself(site: Site) -> None:
    for path in ("/", "/missing"):
        headers = site.answer(path, None).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "worker-src 'self';" in policy
        assert "connect-src 'self';" in policy
        assert not any(open_door in policy for open_door in ("unsafe", "*", "data:", "blob:", "ws"))
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_an_unchanged_file_is_not_sent_again(site: Site) -> None:
    tag = site.answer("/", None).headers["ETag"]
    again = site.answer("/", f'W/"x", {tag}')
    assert (again.status_code, again.body) == (304, b"")
    assert site.answer("/", '"other"').status_code == 200


def test_a_request_touches_no_disk(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "web")
    assert site.answer("/", None).body == b"<!doctype html>"
    assert site.answer("/sdk/worker.js", None).status_code == 200


def test_head_has_no_body_and_the_same_length(site: Site) -> None:
    answer = site.answer("/", None, head=True)
    assert answer.body == b""
    assert answer.headers["Content-Length"] == str(len(b"<!doctype html>"))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/app/../../secret.txt",
        "/app/%2e%2e/%2e%2e/secret.txt",
        "/app/..%2f..%2fsecret.txt",
        "/app/..\\..\\secret.txt",
        "//etc/passwd",
        "/app//etc/passwd",
        "/app/link.txt",
        "/app/%00index.html",
        "//[",
        "//[::1",
        "/package.json",
        "/app/../package.json",
        "/sdk/notes.key",
        "/app",
        "/sdk/",
        "/app/" + "x" * 5000 + ".js",
        "",
        "*",
    ],
)
def test_nothing_else_is_served(site: Site, path: str) -> None:
    answer = site.answer(path, None)
    assert answer.status_code == 404
    assert b"secret" not in answer.body
