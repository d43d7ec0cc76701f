"""What an app copies from the example in Python of docs/integrate.md."""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import urllib.error
import urllib.request

from web import Store, random


class Problem(Exception):
    """A refusal of twofa (RFC 9457), or a call without an answer. Decide by type; detail is for developers."""

    def __init__(self, type="no_answer", detail="", retry_after=0, checks_left=0, **_):
        super().__init__(f"{type}: {detail}")
        self.type, self.detail, self.retry_after, self.checks_left = type, detail, retry_after, checks_left


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The API has no redirects, and the secret must not follow one."""

    def redirect_request(self, *args):
        return None


opener = urllib.request.build_opener(NoRedirect)


def call(method, path, body=None, headers=None):
    """Calls the API once. It repeats nothing: a message may be on its way although no answer came."""
    route = path.split("~")[0]  # without the user's name
    client = os.environ["TWOFA_CLIENT"] + ":" + os.environ["TWOFA_CLIENT_SECRET"]
    headers = {
        "Authorization": "Basic " + base64.b64encode(client.encode()).decode(),
        "Content-Type": "application/json",
        **(headers or {}),
    }
    if key := os.environ.get("TWOFA_HOST_KEY"):  # under the Functions host
        headers["X-Functions-Key"] = key
    data = None if body is None else json.dumps(body).encode()
    req = urllib.request.Request(os.environ["TWOFA_URL"] + path, data, headers, method=method)
    try:
        try:
            res = opener.open(req, timeout=30)  # twofa answers within 24 seconds
        except urllib.error.HTTPError as refusal:
            res = refusal
        with res:
            answer = json.loads(res.read(1 << 20))
    except (OSError, ValueError):
        print(f"twofa: {method} {route}: no answer", file=sys.stderr, flush=True)
        raise Problem() from None
    request = res.headers["X-Request-Id"]
    print(f"twofa: {method} {route}: {res.status}, request {request} {answer.get('detail', '')}", file=sys.stderr, flush=True)
    if res.status >= 300:
        raise Problem(**answer)
    return answer


def user_path(name):
    """Holds every name, also one with a slash."""
    return "/api/users/~" + base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def key_of(text):
    """Is the same for the same text, and says nothing about it."""
    return hashlib.sha256(text.encode()).hexdigest()


# Sessions on twofa's page: (state, user, purpose). The shop keeps them at its server, by the session's name.
begun_sessions = Store(40 * 60)


def state_of(shop):
    """Returns the state of this browser. Call it where a form is shown, too: then a form that is
    sent twice has one state."""
    state = shop.cookie("state")
    if not re.fullmatch("[A-Za-z0-9_-]{43}", state):
        state = random()
    shop.set_cookie("state", state, 40 * 60)
    return state


def begin(shop, path, body, begun):
    """Begins a session, and sends the browser to twofa's page."""
    # The state is in the body. So the key is the same if this browser asks for the same again.
    page = call("POST", path, body, {"Idempotency-Key": key_of(json.dumps(body))})
    begun_sessions.put(page["session"], begun)
    shop.redirect(page["page_url"])


def fetch(shop, query, purpose, user, **more):
    """Returns whose session it is with which the browser came back, and twofa's answer to it. user is
    who is signed in, "" if nobody has to be."""
    session = query.get("session", "")
    begun_state, begun_user, begun_purpose = begun_sessions.get(session) or ("", "", "")
    state = shop.cookie("state")  # the state is in no address
    same = hmac.compare_digest(begun_state.encode(), state.encode())
    if not begun_state or not same or begun_purpose != purpose or user and user != begun_user:
        raise Problem("another_browser")
    try:
        if "error" in query:
            raise Problem("page_" + query["error"])
        body = {"session": session, "state": state, "result": query.get("result", ""), **more}
        answer = call("POST", "/api/otpverify", body)
    except Problem as p:
        if p.type not in ("no_answer", "urn:twofa:storage_unavailable"):  # else a reload fetches again
            forget(shop, session)
        raise
    forget(shop, session)
    return begun_user, answer


def forget(shop, session):
    begun_sessions.remove(session)
    shop.set_cookie("state", "", 0)


def proves(answer, user, purpose):
    """Reports whether an answer is a proof of the user for the purpose. A test number proves nothing."""
    if answer.get("status") != "approved" or answer.get("purpose") != purpose or answer.get("test"):
        return False
    return "factor" not in answer or answer.get("user") == user


OVER = ("urn:twofa:expired", "urn:twofa:canceled", "urn:twofa:not_found", "urn:twofa:already_used",
        "another_browser", "page_expired", "page_failed")


def words(p):
    """What people read. Each kind of refusal has its own; detail is for developers."""
    if p.type == "urn:twofa:wrong_code":
        return f"That is not the code. {p.checks_left} tries are left."
    if p.type in OVER:
        return "This is over. Begin again."
    if p.type in ("urn:twofa:denied", "page_denied"):
        return "Somebody answered that it was not them. If it was you, begin again."
    if p.type == "page_canceled":
        return "You canceled."
    if p.type in ("urn:twofa:destination_refused", "urn:twofa:undeliverable"):
        return "We cannot send codes there. Use another number."
    if p.type == "urn:twofa:invalid_request":
        return "Check what you typed, and try again."
    if p.type == "urn:twofa:precondition_failed":
        return "This name is taken."
    if p.retry_after:
        return f"Too often. Try again in {-(-p.retry_after // 60)} min."
    return "This did not work. Begin again in a minute."


def alert(agent, user, event):
    """Warns a user. A refusal is in the log and stops nothing: an address gets few alerts a day."""
    known = [name for name in ("Firefox", "Edg", "Chrome", "Safari") if name in agent]
    detail = {"device": known[0]} if known else {}  # never the whole text, which strangers choose
    try:
        call("POST", user_path(user) + "/alerts", {"event": event, "detail": detail})
    except Problem:
        pass


def client_ip(shop):
    """The person's address. Behind a proxy of your own, take it from the proxy's header."""
    return shop.client_address[0]
