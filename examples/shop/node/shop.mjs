// The example in Node of docs/integrate.md: a shop that uses twofa, without a package. twofa.mjs is
// what an app copies. The shop keeps everything in memory.
import { createServer } from 'node:http';
import { scryptSync, timingSafeEqual } from 'node:crypto';
import { alert, begin, call, clientIP, fetchAnswer, keyOf, Problem, proves, refuse, stateOf, userPath, words } from './twofa.mjs';
import { Store, cookie, escape, form, origin, random, readForm, redirect, setCookie, show } from './web.mjs';

const accounts = new Map(); // from a name to a password
const sessions = new Store(3600);
const signUps = new Store(600);
const browsers = new Store(365 * 86400); // from a known browser to its user

const order = { amount: '20.00 EUR', payee: 'Shop' }; // the same from the page to the warehouse

const slowHash = (text, salt) => scryptSync(text, salt, 32);
const newPassword = (text, salt = random()) => ({ salt, hash: slowHash(text, salt) });
const nobody = newPassword(random()); // takes as long as an account

const routes = {
  // Section 1: log in with twofa's page.

  'GET /login'(req, res) {
    stateOf(req, res);
    show(res, 200, 'Log in', form('/login', 'name', 'password'));
  },

  async 'POST /login'(req, res, query, fields) {
    const user = fields.get('name') ?? '';
    const password = accounts.get(user) ?? nobody;
    if (!timingSafeEqual(slowHash(fields.get('password') ?? '', password.salt), password.hash)) {
      if (password !== nobody) alert(req, user, 'wrong_password'); // no await: the time does not tell who has an account
      return show(res, 403, 'The name or the password is not right.', form('/login', 'name', 'password'));
    }
    const state = stateOf(req, res);
    const body = { user, purpose: 'login', page: { return_url: origin + '/2fa/done', state } };
    await begin(res, '/api/otpsend', body, { state, user, purpose: 'login' });
  },

  async 'GET /2fa/done'(req, res, query) {
    const { begun, answer } = await fetchAnswer(req, res, query, 'login', '');
    if (!proves(answer, begun.user, 'login')) throw new Problem({ type: 'no_approval' });
    const id = random(); // a new session: nobody knew its name before
    sessions.put(id, { user: begun.user, proved: Date.now() });
    setCookie(res, 'session', id, 3600);
    if (browsers.get(cookie(req, 'browser')) !== begun.user) {
      const browser = random();
      browsers.put(browser, begun.user);
      setCookie(res, 'browser', browser, 365 * 86400);
      await alert(req, begun.user, 'new_sign_in');
    }
    redirect(res, '/');
  },

  // Section 2: open an account with a form of the shop's own.

  'GET /form'(req, res) {
    show(res, 200, 'Open an account', form('/form', 'name', 'password', 'phone'));
  },

  async 'POST /form'(req, res, query, fields) {
    const [name, password, phone, once] = ['name', 'password', 'phone', 'once'].map((field) => fields.get(field) ?? '');
    if (accounts.has(name) || !name || password.length < 10) {
      return show(res, 400, 'Choose another name, or a longer password.', form('/form', 'name', 'password', 'phone'));
    }
    try {
      const body = { to: phone, purpose: 'signup', origin: 'typed', client_ip: clientIP(req) };
      const { id } = await call('POST', '/api/otpsend', body, { 'Idempotency-Key': keyOf(once) });
      const key = random();
      // Kept at the server: an id out of a form could be the code of another number.
      signUps.put(key, { id, name, phone, password: newPassword(password) });
      setCookie(res, 'signup', key, 600);
      show(res, 200, 'We sent you a code.', form('/form/code', 'code') + form('/form/again'));
    } catch (err) {
      refuse(res, err, 422, form('/form', 'name', 'password', 'phone'));
    }
  },

  async 'POST /form/code'(req, res, query, fields) {
    const key = cookie(req, 'signup');
    const s = signUps.get(key);
    if (!s) throw new Problem({ type: 'another_browser' });
    try {
      const answer = await call('POST', '/api/otpverify', { id: s.id, code: fields.get('code') ?? '', purpose: 'signup' });
      if (!proves(answer, '', 'signup')) throw new Problem({ type: 'no_approval' });
    } catch (err) {
      return refuse(res, err, 422, form('/form/code', 'code') + form('/form/again'));
    }
    signUps.remove(key);
    await call('PUT', userPath(s.name), { name: s.name, phone: s.phone }, { 'If-None-Match': '*' });
    accounts.set(s.name, s.password);
    show(res, 200, 'Your account is open.', '<a href="/login">Log in</a>');
  },

  async 'POST /form/again'(req, res, query, fields) {
    const s = signUps.get(cookie(req, 'signup'));
    if (!s) throw new Problem({ type: 'another_browser' });
    try {
      const body = { origin: 'typed', client_ip: clientIP(req) };
      await call('POST', '/api/otpsend/' + s.id, body, { 'Idempotency-Key': keyOf(fields.get('once') ?? '') });
      show(res, 200, 'We sent the code again.', form('/form/code', 'code') + form('/form/again'));
    } catch (err) {
      refuse(res, err, 422, form('/form/code', 'code') + form('/form/again'));
    }
  },

  // Section 3: add an authenticator app.

  async 'GET /security'(req, res) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s) return redirect(res, '/login');
    const list = await call('GET', userPath(s.user) + '/totp');
    show(res, 200, 'Your apps', list.authenticators.map((app) => `<p>${escape(app.name)}</p>`).join('') + form('/security/app'));
  },

  async 'POST /security/app'(req, res) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s || Date.now() - s.proved > 5 * 60_000) return redirect(res, '/login'); // the password alone is not enough
    const state = stateOf(req, res);
    const body = { kind: 'enroll', return_url: origin + '/security/done', state };
    await begin(res, userPath(s.user) + '/page', body, { state, user: s.user, purpose: 'enroll' });
  },

  async 'GET /security/done'(req, res, query) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s) return redirect(res, '/login');
    try {
      const { answer } = await fetchAnswer(req, res, query, 'enroll', s.user); // the change takes effect by this call
      if (answer.status !== 'enrolled' || answer.user !== s.user) throw new Problem({ type: 'no_enrolment' });
    } catch (err) {
      if (err.type !== 'urn:twofa:already_used') throw err; // it took effect before, and the answer was lost
    }
    redirect(res, '/security');
  },

  // Section 5: a payment, with a receipt for the warehouse.

  async 'POST /pay'(req, res) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s) return redirect(res, '/login');
    const state = stateOf(req, res);
    const body = { user: s.user, purpose: 'payment', context: order, page: { return_url: origin + '/pay/done', state } };
    await begin(res, '/api/otpsend', body, { state, user: s.user, purpose: 'payment' });
  },

  async 'GET /pay/done'(req, res, query) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s) return redirect(res, '/login');
    const { answer } = await fetchAnswer(req, res, query, 'payment', s.user, { receipt: true });
    if (!proves(answer, s.user, 'payment') || !answer.receipt) throw new Problem({ type: 'no_approval' });
    const shipped = await fetch(process.env.WAREHOUSE_URL, {
      method: 'POST', headers: { Authorization: 'Bearer ' + answer.receipt }, body: JSON.stringify(order),
      redirect: 'error', signal: AbortSignal.timeout(30_000),
    }).catch(() => ({ ok: false }));
    if (!shipped.ok) return show(res, 502, 'The warehouse did not accept the order.');
    show(res, 200, 'Paid. The warehouse has the order.');
  },

  'GET /'(req, res) {
    const s = sessions.get(cookie(req, 'session'));
    if (!s) return show(res, 200, 'Shop', '<a href="/login">Log in</a> <a href="/form">Open an account</a>');
    stateOf(req, res);
    show(res, 200, 'Hello, ' + s.user, form('/pay') + '<a href="/security">Your apps</a>');
  },
};

async function serve(req, res) {
  try {
    const { pathname, searchParams } = new URL(req.url, origin);
    const route = routes[`${req.method} ${pathname}`];
    if (!route) return show(res, 404, 'There is no such page.');
    await route(req, res, searchParams, req.method === 'POST' ? await readForm(req) : undefined);
  } catch (err) {
    if (!(err instanceof Problem)) console.error('shop:', err.message);
    if (!res.headersSent) show(res, err instanceof Problem ? 403 : 400, words(err), '<a href="/">Home</a>');
  }
}

const [host, port] = process.env.SHOP_ADDR.split(':');
createServer(serve).listen(Number(port), host);
