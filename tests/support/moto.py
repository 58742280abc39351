"""AWS for tests: the server of moto, a separate process on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from tests.support.api import free_port

__all__ = ["Aws"]

_PROGRAM = Path(sys.executable).with_name("moto_server")
_STARTS_S = 120


class Aws:
    """An AWS account; a context manager that serves it."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = folder / "moto.log"
        self.environ: Dict[str, str] = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test-id",
            "AWS_SECRET_ACCESS_KEY": "s3cret-aws",
        }

    def __enter__(self) -> Aws:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(_PROGRAM), "-H", "127.0.0.1", "-p", str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _STARTS_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                time.sleep(0.05)
            else:
                return self
        raise AssertionError(self._log.read_text())

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait(60)

    def instances(self) -> List[Dict[str, Any]]:
        """The existing instances, read by another client than ours."""
        import boto3

        client = boto3.client(
            "ec2",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test-id",
            aws_secret_access_key="s3cret-aws",
        )
        found = client.describe_instances()["Reservations"]
        client.close()
        return [
            {
                "id": instance["InstanceId"],
                "state": instance["State"]["Name"],
                "token": instance["ClientToken"],
                **{tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])},
            }
            for reservation in found
            for instance in reservation["Instances"]
        ]

    def running(self) -> List[str]:
        """Names of the running instances."""
        return sorted(i["Name"] for i in self.instances() if i["state"] == "running")
