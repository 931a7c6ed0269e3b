"""A Firefox for the tests, spoken to in WebDriver BiDi, without any network.

Playwright drives a Firefox of its own only, which no package registry has. Firefox itself listens
to the W3C's protocol on a socket, so that the system's is enough: https://w3c.github.io/webdriver-bidi
"""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import websocket
from debian import installed

NAMES = ("firefox", "firefox-esr")
MEND = "No Firefox for the browser tests. Install it (Debian: `sudo apt-get install firefox-esr`)."
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
EVENTS = ["log.entryAdded", "network.beforeRequestSent"]
LOCAL = ("file:", "data:", "blob:", "about:", "resource:", "chrome:")
# A proxy where nobody listens stands for a network that is cut off; of itself Firefox is silent.
SETTINGS = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "ui.prefersReducedMotion": 1,
}


class Firefox:
    """One window; what it asked for elsewhere and what its console said is kept."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket, self._ids = socket, count(1)
        self.requests: list[str] = []
        self.console: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=EVENTS)
        # In a tab of its own: the first one of a headless Firefox never has the focus.
        self.window = self.call("browsingContext.create", type="tab")["context"]
        self.call("browsingContext.activate", context=self.window)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept.

        Raises:
            RuntimeError: Firefox answers with an error.
        """
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("type") == "event":
                self._keep(said["method"], said["params"])
            elif said.get("id") == number:
                if said["type"] == "error":
                    raise RuntimeError(f"{method}: {said['error']}: {said['message']}")
                return said["result"]

    def _keep(self, method: str, event: dict[str, Any]) -> None:
        if method == "network.beforeRequestSent":
            address = event["request"]["url"]
            if not address.startswith(LOCAL):
                self.requests.append(address)
        elif event["level"] in {"error", "warn"} and event["type"] != "css":
            self.console.append(f"{event['level']}: {event['text']}")

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Load a page in a window of this size; console and requests begin anew."""
        self.console.clear()
        self.requests.clear()
        size = {"width": width, "height": height}
        self.call("browsingContext.setViewport", context=self.window, viewport=size)
        self.call("browsingContext.navigate", context=self.window, url=address, wait="complete")

    def run(self, script: str) -> Any:
        """The value of an expression, a promise's when it is there; only what JSON can say.

        Raises:
            RuntimeError: the script throws.
        """
        said = self.call(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({script})))()",
            target={"context": self.window},
            awaitPromise=True,
        )
        if said["type"] == "exception":
            raise RuntimeError(said["exceptionDetails"]["text"])
        return json.loads(said["result"].get("value", "null"))

    def press(self, *keys: str) -> None:
        """Press keys one after another, such as Tab (\\ue004) or the right arrow (\\ue014)."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        device = {"type": "key", "id": "keyboard", "actions": steps}
        self.call("input.performActions", context=self.window, actions=[device])


@contextmanager
def firefox() -> Iterator[Firefox]:
    """A headless Firefox with a fresh profile, closed at the end.

    Raises:
        RuntimeError: there is none, or it does not start; the message says what to do.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    path = path or installed("firefox-esr", "firefox-esr")
    if path is None:
        raise RuntimeError(MEND)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in SETTINGS.items())
        (Path(folder) / "user.js").write_text("\n".join(lines))
        says = Path(folder) / "says.txt"
        command = [path, "--headless", "--profile", folder, "--remote-debugging-port", "0"]
        with says.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield Firefox(_connect(process, says))
        finally:
            process.terminate()
            process.wait(30)


def _connect(process: subprocess.Popen[bytes], says: Path) -> websocket.WebSocket:
    """Wait until Firefox says where it listens, and connect."""
    for _ in range(600):
        if found := LISTENS.search(says.read_text(errors="replace")):
            address = f"{found[1]}/session"
            return websocket.create_connection(address, timeout=120, suppress_origin=True)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Firefox does not listen: {says.read_text(errors='replace')[-500:]}")
