"""A server with the format of UpCloud's API 1.3, on loopback.

Its responses have the fields that the provider's documentation shows for servers:
https://developers.upcloud.com/1.3/8-servers/. Changes of state take time, as there.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Tuple

__all__ = ["PASSWORD", "USER", "UpCloud"]

USER, PASSWORD = "ops", "s3cret-upcloud"
_SETTLES_S = 0.2


class UpCloud:
    """An account with its servers; a context manager that serves it."""

    def __init__(self) -> None:
        self.servers: Dict[str, Dict[str, Any]] = {}
        self.asked: List[str] = []  # method and path, in order
        self._due: Dict[str, Tuple[float, str]] = {}
        self._lock = threading.Lock()
        account = self

        class Handler(_Handler):
            cloud = account

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/1.3"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> UpCloud:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def names(self) -> List[str]:
        """Hostnames of the existing servers."""
        with self._lock:
            return sorted(server["hostname"] for server in self.servers.values())

    def answer(self, method: str, path: str, body: Any) -> Tuple[int, Any]:
        """Handle a request; return status and body."""
        with self._lock:
            self.asked.append(f"{method} {path}")
            self._settle()
            parts = path.partition("?")[0].strip("/").split("/")[1:]
            if parts == ["server"] and method == "GET":
                listed = [_short(server) for server in self.servers.values()]
                return 200, {"servers": {"server": listed}}
            if parts == ["server"] and method == "POST":
                return self._create(body["server"])
            server = self.servers.get(parts[1]) if len(parts) > 1 else None
            if server is None:
                return _refusal(404, "SERVER_NOT_FOUND", "The server does not exist.")
            return self._change(method, parts[2:], server)

    def _create(self, wish: Dict[str, Any]) -> Tuple[int, Any]:
        for field in ("zone", "title", "hostname", "storage_devices"):
            if not wish.get(field):
                message = f"The attribute {field} is missing."
                return _refusal(400, f"{field.upper()}_MISSING", message)
        number = 10 + len(self.servers)
        address = {"access": "public", "address": f"94.0.0.{number}", "family": "IPv4"}
        server = {
            "uuid": str(uuid.uuid4()),
            "hostname": wish["hostname"],
            "title": wish["title"],
            "zone": wish["zone"],
            "plan": wish.get("plan", "custom"),
            "labels": wish.get("labels", {"label": []}),
            "created": 1_790_000_000,
            "state": "maintenance",
            "ip_addresses": {"ip_address": [address]},
        }
        self.servers[server["uuid"]] = server
        self._due[server["uuid"]] = (time.monotonic() + _SETTLES_S, "started")
        return 202, {"server": server}

    def _change(
        self, method: str, rest: List[str], server: Dict[str, Any]
    ) -> Tuple[int, Any]:
        if method == "GET":
            return 200, {"server": server}
        if method == "POST" and rest == ["stop"]:
            if server["state"] != "started":
                return _refusal(
                    409, "SERVER_STATE_ILLEGAL", "The server is not started."
                )
            self._due[server["uuid"]] = (time.monotonic() + _SETTLES_S, "stopped")
            return 200, {"server": server}
        if method == "DELETE":
            if server["state"] != "stopped":
                return _refusal(
                    409, "SERVER_STATE_ILLEGAL", "The server is not stopped."
                )
            del self.servers[server["uuid"]]
            return 204, None
        return _refusal(405, "METHOD_NOT_ALLOWED", method)

    def _settle(self) -> None:
        for key, (at, state) in list(self._due.items()):
            if time.monotonic() >= at:
                del self._due[key]
                if key in self.servers:
                    self.servers[key]["state"] = state


def _short(server: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in server.items() if key != "ip_addresses"}


def _refusal(status: int, code: str, message: str) -> Tuple[int, Any]:
    return status, {"error": {"error_code": code, "error_message": message}}


class _Handler(BaseHTTPRequestHandler):
    cloud: UpCloud
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {right}":
            message = "Authentication failed using the given username and password."
            status, answer = _refusal(401, "AUTHENTICATION_FAILED", message)
        else:
            status, answer = self.cloud.answer(self.command, self.path, body)
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        if content:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # its names

    def log_message(self, format: str, *args: Optional[object]) -> None:
        """Print nothing."""
