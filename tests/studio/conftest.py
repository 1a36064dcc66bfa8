"""A real Chromium and a real server for the pages."""

import shutil
import threading
import time
from importlib.resources import files

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, driven by Playwright; tests that need it are skipped without."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        started = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Served:
    """A studio on a loopback port."""

    def __init__(self, studio):
        import uvicorn

        from veridical.studio.serving import Address, login_link
        from veridical.studio.web.app import make_app

        self.studio = studio
        hosts = ["127.0.0.1"]
        config = uvicorn.Config(
            make_app(studio, hosts=hosts),
            host="127.0.0.1",
            port=0,
            log_level="error",
            access_log=False,
            lifespan="off",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = Address(port=port)
        self._link = login_link

    def link(self, name="ann", role="annotator"):
        return self._link(self.studio, name, self.address, role=role)

    def stop(self):
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def serve():
    """Serve studios; all are stopped afterwards."""
    servers = []

    def start(studio):
        servers.append(Served(studio))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()
        one.studio.database.close()


class Desk:
    """A page in the browser, watched: errors, violations of the policy, requests to elsewhere."""

    def __init__(self, page, served):
        self.page, self.served, self.troubles = page, served, []
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message):
        if message.type in ("error", "warning") and "ERR_INTERNET_DISCONNECTED" not in message.text:
            self.troubles.append(f"console: {message.text}")

    def _request(self, request):
        if not request.url.startswith((self.served.address.base, "blob:", "data:")):
            self.troubles.append(f"request to {request.url}")

    def enter(self, name="ann", role="annotator", path="/work"):
        self.page.goto(self.served.link(name, role))
        self.page.wait_for_url(lambda url: "/join" not in url)
        if role == "lead":
            self.page.goto(self.served.address.base + path)
        self.page.wait_for_load_state("networkidle")
        return self

    def keys(self, *names):
        for name in names:
            self.page.keyboard.press(name)

    def type(self, text):
        self.page.keyboard.type(text)

    def judged(self, count):
        """Wait until so many judgements are on disk and give them."""
        from sqlalchemy import select

        from veridical.studio.store.schema import judgement

        for _ in range(100):
            with self.served.studio.database.reading() as connection:
                found = connection.execute(select(judgement).order_by(judgement.c.submitted)).all()
            if len(found) >= count:
                ready = '#work:not([aria-busy="true"])'  # it shows the next item
                self.page.wait_for_selector(ready, state="attached")
                return found
            self.page.wait_for_timeout(50)
        raise AssertionError(
            f"{len(found)} judgements: {self.page.inner_text('body')[:600]} {self.troubles}"
        )


@pytest.fixture
def desk(browser, serve):
    """Open a studio in the browser; a console error or a request elsewhere fails the test."""
    contexts, desks = [], []

    def open_desk(studio, **options):
        served = studio if isinstance(studio, Served) else serve(studio)
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        desks.append(Desk(context.new_page(), served))
        return desks[-1]

    yield open_desk
    for context in contexts:
        context.close()
    assert [trouble for one in desks for trouble in one.troubles] == []


@pytest.fixture(scope="session")
def axe():
    """axe-core's one file, as a development package carries it."""
    file = files("axe_playwright_python").joinpath("axe.min.js")
    return file.read_text(encoding="utf-8")
