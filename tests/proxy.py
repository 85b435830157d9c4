"""A slow and faulty way to an S3 server: `python -m tests.proxy PORT TARGET DELAY_MS FAULTS_PER_MILLE LOG`.

Each request waits DELAY_MS to DELAY_MS + 20 ms. Some are answered with 503 SlowDown, 500, a connection
that is reset before or after the server did the work, or half of the body. Which ones, a seed decides.
LOG gets a line of JSON for each request: method, path, and the source of a copy.
"""

import http.client
import json
import random
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
)
BROKEN = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>"


class Proxy(BaseHTTPRequestHandler):
    """Pass requests on, some of them badly."""

    protocol_version = "HTTP/1.1"
    target = delay_ms = faults = 0
    chance = random.Random(1)
    choosing = threading.Lock()
    log = ""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.choosing:
            delay, fault = self.delay_ms + self.chance.random() * 20, self.chance.random() * 1000
            with open(self.log, "a") as log:  # noqa: PTH123
                source = self.headers.get("x-amz-copy-source", "")
                log.write(json.dumps([self.command, self.path, source]) + "\n")
            kind = self.chance.choice(("slow", "broken", "reset", "reset late", "half"))
        time.sleep(delay / 1000)
        if fault >= self.faults:
            kind = ""
        if kind in ("slow", "broken"):
            status, told = (503, SLOW_DOWN) if kind == "slow" else (500, BROKEN)
            self.answer(status, {"Content-Type": "application/xml", "Content-Length": str(len(told))}, told)
            return
        if kind == "reset":
            self.reset()
            return
        status, headers, data = self.ask(body)
        if kind == "reset late":
            self.reset()
        elif kind == "half" and len(data) > 1 and self.command == "GET":
            self.answer(status, headers, data[: len(data) // 2])
            self.reset()
        else:
            self.answer(status, headers, data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 -- http.server's names

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        kept = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server")
        }
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        connection.close()
        return answer.status, kept | {"Content-Length": size or "0"}, data

    def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def reset(self) -> None:
        """Close without a goodbye: the other side sees a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return

    def log_message(self, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    port, Proxy.target, Proxy.delay_ms, Proxy.faults = map(int, sys.argv[1:5])
    Proxy.log = sys.argv[5]
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", port), Proxy).serve_forever()
