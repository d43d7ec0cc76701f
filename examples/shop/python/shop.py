"""The example in Python of docs/integrate.md: a shop that uses twofa, with the standard library
alone. twofa.py is what an app copies. The shop keeps everything in memory."""

import hashlib
import hmac
import html
import json
import os
import threading
import time
import urllib.request

from twofa import Problem, alert, begin, call, client_ip, fetch, key_of, opener, proves, state_of, user_path, words
from web import ORIGIN, Site, Store, form, listen, random

ORDER = {"amount": "20.00 EUR", "payee": "Shop"}  # the same from the page to the warehouse

accounts = {}  # from a name to a password
sessions = Store(3600)
sign_ups = Store(600)
browsers = Store(365 * 86400)  # from a known browser to its user


def slow_hash(text, salt):
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=1 << 14, r=8, p=1)


def new_password(text):
    salt = random()
    return salt, slow_hash(text, salt)


NOBODY = new_password(random())  # takes as long as an account


class Shop(Site):
    def serve(self, fields):
        try:
            super().serve(fields)
        except Problem as p:
            self.show(403, words(p), '<a href="/">Home</a>')

    def signed_in(self):
        return sessions.get(self.cookie("session"))

    # Section 1: log in with twofa's page.

    def show_login(self, query, fields):
        state_of(self)
        self.show(200, "Log in", form("/login", "name", "password"))

    def login(self, query, fields):
        user = fields.get("name", "")
        salt, right = accounts.get(user, NOBODY)
        if not hmac.compare_digest(slow_hash(fields.get("password", ""), salt), right):
            if user in accounts:  # in a thread: the time does not tell who has an account
                threading.Thread(target=alert, args=(self.headers.get("User-Agent", ""), user, "wrong_password")).start()
            return self.show(403, "The name or the password is not right.", form("/login", "name", "password"))
        state = state_of(self)
        body = {"user": user, "purpose": "login", "page": {"return_url": ORIGIN + "/2fa/done", "state": state}}
        begin(self, "/api/otpsend", body, (state, user, "login"))

    def login_done(self, query, fields):
        user, answer = fetch(self, query, "login", "")
        if not proves(answer, user, "login"):
            raise Problem("no_approval")
        session = random()  # a new session: nobody knew its name before
        sessions.put(session, (user, time.monotonic()))
        self.set_cookie("session", session, 3600)
        if browsers.get(self.cookie("browser")) != user:
            browser = random()
            browsers.put(browser, user)
            self.set_cookie("browser", browser, 365 * 86400)
            alert(self.headers.get("User-Agent", ""), user, "new_sign_in")
        self.redirect("/")

    # Section 2: open an account with a form of the shop's own.

    def show_form(self, query, fields):
        self.show(200, "Open an account", form("/form", "name", "password", "phone"))

    def start_form(self, query, fields):
        name, password, phone, once = (fields.get(field, "") for field in ("name", "password", "phone", "once"))
        if name in accounts or not name or len(password) < 10:
            return self.show(400, "Choose another name, or a longer password.", form("/form", "name", "password", "phone"))
        try:
            body = {"to": phone, "purpose": "signup", "origin": "typed", "client_ip": client_ip(self)}
            started = call("POST", "/api/otpsend", body, {"Idempotency-Key": key_of(once)})
        except Problem as p:
            return self.show(422, words(p), form("/form", "name", "password", "phone"))
        key = random()
        # Kept at the server: an id out of a form could be the code of another number.
        sign_ups.put(key, (started["id"], name, phone, new_password(password)))
        self.set_cookie("signup", key, 600)
        self.show(200, "We sent you a code.", form("/form/code", "code") + form("/form/again"))

    def check_form(self, query, fields):
        key = self.cookie("signup")
        verification, name, phone, password = sign_ups.get(key) or (None, None, None, None)
        if not verification:
            raise Problem("another_browser")
        try:
            answer = call("POST", "/api/otpverify", {"id": verification, "code": fields.get("code", ""), "purpose": "signup"})
            if not proves(answer, "", "signup"):
                raise Problem("no_approval")
        except Problem as p:
            return self.show(422, words(p), form("/form/code", "code") + form("/form/again"))
        sign_ups.remove(key)
        call("PUT", user_path(name), {"name": name, "phone": phone}, {"If-None-Match": "*"})
        accounts[name] = password
        self.show(200, "Your account is open.", '<a href="/login">Log in</a>')

    def resend_form(self, query, fields):
        verification, *_ = sign_ups.get(self.cookie("signup")) or (None,)
        if not verification:
            raise Problem("another_browser")
        try:
            body = {"origin": "typed", "client_ip": client_ip(self)}
            call("POST", "/api/otpsend/" + verification, body, {"Idempotency-Key": key_of(fields.get("once", ""))})
        except Problem as p:
            return self.show(422, words(p), form("/form/code", "code") + form("/form/again"))
        self.show(200, "We sent the code again.", form("/form/code", "code") + form("/form/again"))

    # Section 3: add an authenticator app.

    def security(self, query, fields):
        user, _ = self.signed_in() or ("", 0)
        if not user:
            return self.redirect("/login")
        apps = call("GET", user_path(user) + "/totp")["authenticators"]
        self.show(200, "Your apps", "".join(f"<p>{html.escape(app['name'])}</p>" for app in apps) + form("/security/app"))

    def enroll(self, query, fields):
        user, proved = self.signed_in() or ("", 0)
        if not user or time.monotonic() - proved > 300:  # the password alone is not enough
            return self.redirect("/login")
        state = state_of(self)
        body = {"kind": "enroll", "return_url": ORIGIN + "/security/done", "state": state}
        begin(self, user_path(user) + "/page", body, (state, user, "enroll"))

    def enroll_done(self, query, fields):
        user, _ = self.signed_in() or ("", 0)
        if not user:
            return self.redirect("/login")
        try:
            _, answer = fetch(self, query, "enroll", user)  # the change takes effect by this call
            if answer.get("status") != "enrolled" or answer.get("user") != user:
                raise Problem("no_enrolment")
        except Problem as p:
            if p.type != "urn:twofa:already_used":  # it took effect before, and the answer was lost
                raise
        self.redirect("/security")

    # Section 5: a payment, with a receipt for the warehouse.

    def pay(self, query, fields):
        user, _ = self.signed_in() or ("", 0)
        if not user:
            return self.redirect("/login")
        state = state_of(self)
        page = {"return_url": ORIGIN + "/pay/done", "state": state}
        body = {"user": user, "purpose": "payment", "context": ORDER, "page": page}
        begin(self, "/api/otpsend", body, (state, user, "payment"))

    def pay_done(self, query, fields):
        user, _ = self.signed_in() or ("", 0)
        if not user:
            return self.redirect("/login")
        _, answer = fetch(self, query, "payment", user, receipt=True)
        if not proves(answer, user, "payment") or not answer.get("receipt"):
            raise Problem("no_approval")
        headers = {"Authorization": "Bearer " + answer["receipt"]}
        req = urllib.request.Request(os.environ["WAREHOUSE_URL"], json.dumps(ORDER).encode(), headers)
        try:
            opener.open(req, timeout=30).close()
        except OSError:
            return self.show(502, "The warehouse did not accept the order.")
        self.show(200, "Paid. The warehouse has the order.")

    def home(self, query, fields):
        user, _ = self.signed_in() or ("", 0)
        if not user:
            return self.show(200, "Shop", '<a href="/login">Log in</a> <a href="/form">Open an account</a>')
        state_of(self)
        self.show(200, "Hello, " + user, form("/pay") + '<a href="/security">Your apps</a>')

    routes = {
        "GET /": home, "GET /login": show_login, "POST /login": login, "GET /2fa/done": login_done,
        "GET /form": show_form, "POST /form": start_form, "POST /form/code": check_form, "POST /form/again": resend_form,
        "GET /security": security, "POST /security/app": enroll, "GET /security/done": enroll_done,
        "POST /pay": pay, "GET /pay/done": pay_done,
    }


listen(os.environ["SHOP_ADDR"], Shop)
