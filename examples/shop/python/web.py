"""The web site around the example in Python: replace it by your own sessions and pages."""

import html
import http.server
import os
import secrets
import threading
import time
import urllib.parse

ORIGIN = os.environ["SHOP_URL"]  # as https://shop.example
SECURE = ORIGIN.startswith("https://")


class Store:
    """Keeps values in memory for a number of seconds."""

    def __init__(self, keep):
        self.keep, self.values, self.lock = keep, {}, threading.Lock()

    def put(self, key, value):
        with self.lock:
            now = time.monotonic()
            self.values = {k: v for k, v in self.values.items() if v[1] > now}
            self.values[key] = (value, now + self.keep)

    def get(self, key):
        with self.lock:
            value, end = self.values.get(key, (None, 0))
            return value if end > time.monotonic() else None

    def remove(self, key):
        with self.lock:
            self.values.pop(key, None)


def random():
    """Returns 43 characters of A-Z a-z 0-9 - _, from 256 random bits."""
    return secrets.token_urlsafe(32)


def cookie_name(name):
    return ("__Host-" if SECURE else "") + name  # with the prefix, no other host can set it


INPUTS = {
    "password": 'type="password"', "phone": 'type="tel" autocomplete="tel"',
    "code": 'inputmode="numeric" autocomplete="one-time-code"',  # phones fill it in
}


def form(action, *fields):
    """A form has a name of its own in once, so that the shop knows one that is sent twice."""
    inputs = "".join(f'<label>{name} <input name="{name}" {INPUTS.get(name, "")}></label>' for name in fields)
    return (f'<form method="post" action="{action}"><input type="hidden" name="once" value="{random()}">'
            f"{inputs}<button>{action}</button></form>")


class Site(http.server.BaseHTTPRequestHandler):
    """Answers a request: routes has a method for each route, and problem one for refusals."""

    routes = {}
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self):
        self.serve({})

    def do_POST(self):
        self.cookies = []
        length = int(self.headers.get("Content-Length", "0"))
        if length > 16384 or self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            self.close_connection = True
            return self.show(403, "A form that is too long, or of another site.")
        self.serve(dict(urllib.parse.parse_qsl(self.rfile.read(length).decode("utf-8", "replace"))))

    def serve(self, fields):
        self.cookies = []
        url = urllib.parse.urlsplit(self.path)
        route = self.routes.get(f"{self.command} {url.path}")
        if not route:
            return self.show(404, "There is no such page.")
        route(self, dict(urllib.parse.parse_qsl(url.query)), fields)

    def cookie(self, name):
        pairs = [pair.partition("=") for pair in self.headers.get("Cookie", "").split("; ")]
        return next((value for key, _, value in pairs if key == cookie_name(name)), "")

    def set_cookie(self, name, value, seconds):
        self.cookies.append(f"{cookie_name(name)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if SECURE else ""))

    def answer(self, status, text, headers):
        self.send_response(status)
        for name, value in headers + [("Set-Cookie", c) for c in self.cookies] + [("Content-Length", str(len(text)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def redirect(self, to):
        self.answer(303, b"", [("Location", to)])

    def show(self, status, title, body=""):
        text = f'<!doctype html><html lang="en"><title>Shop</title><h1>{html.escape(title)}</h1>{body}'
        self.answer(status, text.encode(), [
            ("Content-Type", "text/html; charset=utf-8"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")])

    def log_message(self, *args):
        pass  # the queries have results


def listen(address, site):
    host, port = address.split(":")
    http.server.ThreadingHTTPServer((host, int(port)), site).serve_forever()
