"""A small web site on loopback, with everything that can go wrong on one, and a log of what it was asked.

Pages have ETag and Last-Modified. Routes under `/_/` misbehave; nothing links to them unless a test does.
"""

import contextlib
import email.utils
import hashlib
import http.server
import itertools
import threading
import time
from dataclasses import dataclass, field

TYPES = {"html": "text/html; charset=utf-8", "xml": "application/xml", "txt": "text/plain", "png": "image/png"}


@dataclass
class Request:
    """One line of the log."""

    path: str
    status: int
    conditional: bool
    time: float
    host: str


@dataclass
class Site:
    """What is served, what was asked for, and how slowly it answers."""

    pages: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Further headers of single pages."""
    changed: dict[str, float] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    redirects: dict[str, str] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    """How often a page still says 429 before it answers."""
    retry_after: str | None = "0"
    delay: float = 0.0
    slow: dict[str, float] = field(default_factory=dict)
    """How much longer single pages take, in seconds."""
    validators: bool = True
    log: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self):
        site = self
        self.lock = threading.Lock()

        class Handler(_Handler):
            served = site

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def touch(self, path, body):
        self.pages[path] = body
        self.changed[path] = time.time() + 2

    def asked(self, status=None):
        """Paths of pages that were asked for, robots.txt and sitemaps left out."""
        return [
            request.path
            for request in self.log
            if request.path not in {"/robots.txt", "/sitemap.xml"} and status in {None, request.status}
        ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Site

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the crawler has heard enough
            super().handle()

    def do_GET(self):
        site = self.served
        with site.lock:
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            time.sleep(site.delay + site.slow.get(self.path, 0.0))
            self._answer(site)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with site.lock:
                site.at_once -= 1

    def _answer(self, site):
        path = self.path
        if path.startswith("/_/"):
            getattr(self, "_" + path.split("/")[2].partition("?")[0].replace("-", "_"))()
        elif site.busy.get(path, 0) > 0:
            site.busy[path] -= 1
            self._send(429, b"", {"Retry-After": site.retry_after} if site.retry_after else {})
        elif path in site.gone:
            self._send(410, b"")
        elif path in site.redirects:
            self._send(302, b"", {"Location": site.redirects[path]})
        elif path in site.pages:
            self._page(site, path)
        else:
            self._send(404, b"not here")

    def _page(self, site, path):
        body = site.pages[path]
        kind = path.rpartition(".")[2] if "." in path.rpartition("/")[2] else "html"
        headers = {"Content-Type": TYPES.get(kind, TYPES["html"])}
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        modified = email.utils.formatdate(site.changed.get(path, 1_700_000_000), usegmt=True)
        if site.validators:
            headers |= {"ETag": etag, "Last-Modified": modified}
        headers |= site.headers.get(path, {})
        known = self.headers.get("If-None-Match")
        if site.validators and (known == etag or (known is None and self.headers.get("If-Modified-Since") == modified)):
            self._send(304, b"", headers)
        else:
            self._send(200, body, headers)

    def _send(self, status, body, headers=None):
        conditional = "If-None-Match" in self.headers or "If-Modified-Since" in self.headers
        self.served.log.append(Request(self.path, status, conditional, time.time(), self.headers.get("Host", "")))
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self):
        """A byte now and then, without end."""
        self._send_head({"Content-Type": "text/html"})
        for _ in range(600):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def _silent(self):
        """No answer at all."""
        self.served.log.append(Request(self.path, 0, conditional=False, time=time.time(), host=""))
        time.sleep(5)
        self.close_connection = True

    def _huge_headers(self):
        self._send(200, b"<p>x", {"Content-Type": "text/html", "X-Big": "y" * 400_000})

    def _endless(self):
        """More and more bytes."""
        self._send_head({"Content-Type": "text/html"})
        for _ in itertools.repeat(None, 4_000):
            self.wfile.write(b"z" * 65_536)

    def _bomb(self):
        """Little that unpacks to much."""
        import gzip

        self._send(200, gzip.compress(b"0" * 40_000_000), {"Content-Type": "text/html", "Content-Encoding": "gzip"})

    def _damaged(self):
        self._send(200, b"this is not gzip", {"Content-Type": "text/html", "Content-Encoding": "gzip"})

    def _garbage(self):
        self.served.log.append(Request(self.path, 0, conditional=False, time=time.time(), host=""))
        self.wfile.write(b"\x00\x01 nothing like HTTP\r\n\r\n")
        self.close_connection = True

    def _cut(self):
        """Less than was promised."""
        self.served.log.append(Request(self.path, 200, conditional=False, time=time.time(), host=""))
        self.send_response_only(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"<p>short")
        self.close_connection = True

    def _trap(self):
        """A page that always leads one deeper, in several ways."""
        path = self.path.rstrip("/")
        number = len(path)
        links = f'<a href="{path}/more">deeper</a> <a href="/_/trap?n={number}&m={time.time()}">again</a>'
        self._send(200, f"<p>A calendar without end, page {number}. {links}".encode(), {"Content-Type": "text/html"})

    def _to(self):
        self._send(302, b"", {"Location": self.path.partition("?")[2]})

    def _failing(self):
        self._send(500, b"")

    def _send_head(self, headers):
        self.served.log.append(
            Request(self.path, 200, conditional=False, time=time.time(), host=self.headers.get("Host", ""))
        )
        self.close_connection = True
        self.send_response_only(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def page(title, text, links=(), head=""):
    """A small page of HTML."""
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    body = f"<article><h1>{title}</h1>{''.join(f'<p>{part}</p>' for part in text.split('|'))}</article>"
    markup = (
        f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head><body><ul>{anchors}</ul>{body}</body></html>"
    )
    return markup.encode()
