// What an app copies from the example in Node of docs/integrate.md.
import { createHash, timingSafeEqual } from 'node:crypto';
import { Store, cookie, random, redirect, setCookie, show } from './web.mjs';

const { TWOFA_URL, TWOFA_CLIENT, TWOFA_CLIENT_SECRET, TWOFA_HOST_KEY } = process.env;

// Problem is a refusal of twofa (RFC 9457), or a call without an answer. Decide by type; detail is for developers.
export class Problem extends Error {
  constructor({ type = 'no_answer', detail = '', retry_after = 0, checks_left = 0 } = {}) {
    super(`${type}: ${detail}`);
    Object.assign(this, { type, detail, retryAfter: retry_after, checksLeft: checks_left });
  }
}

// call calls the API once. It repeats nothing: a message may be on its way although no answer came.
export async function call(method, path, body, headers = {}) {
  const route = path.split('~')[0]; // without the user's name
  let res, answer;
  try {
    res = await fetch(TWOFA_URL + path, {
      method,
      headers: {
        Authorization: 'Basic ' + Buffer.from(`${TWOFA_CLIENT}:${TWOFA_CLIENT_SECRET}`).toString('base64'),
        'Content-Type': 'application/json',
        ...(TWOFA_HOST_KEY && { 'X-Functions-Key': TWOFA_HOST_KEY }), // under the Functions host
        ...headers,
      },
      body: body && JSON.stringify(body),
      redirect: 'error', // the API has none, and the secret must not follow one
      signal: AbortSignal.timeout(30_000), // twofa answers within 24 seconds
    });
    answer = await res.json();
  } catch {
    console.error(`twofa: ${method} ${route}: no answer`);
    throw new Problem();
  }
  console.error(`twofa: ${method} ${route}: ${res.status}, request ${res.headers.get('X-Request-Id')} ${answer.detail ?? ''}`);
  if (!res.ok) throw new Problem(answer);
  return answer;
}

// userPath holds every name, also one with a slash.
export const userPath = (name) => '/api/users/~' + Buffer.from(name).toString('base64url');

// keyOf is the same for the same text, and says nothing about it.
export const keyOf = (text) => createHash('sha256').update(text).digest('hex');

// Sessions on twofa's page: state, user, purpose. The shop keeps them at its server, by the session's name.
const begunSessions = new Store(40 * 60);

// stateOf returns the state of this browser. Call it where a form is shown, too: then a form that
// is sent twice has one state.
export function stateOf(req, res) {
  let state = cookie(req, 'state');
  if (!/^[A-Za-z0-9_-]{43}$/.test(state)) state = random();
  setCookie(res, 'state', state, 40 * 60);
  return state;
}

// begin begins a session, and sends the browser to twofa's page.
export async function begin(res, path, body, begun) {
  // The state is in the body. So the key is the same if this browser asks for the same again.
  const page = await call('POST', path, body, { 'Idempotency-Key': keyOf(JSON.stringify(body)) });
  begunSessions.put(page.session, begun);
  redirect(res, page.page_url);
}

const equal = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

// fetchAnswer returns the session with which the browser came back, and twofa's answer to it. user
// is who is signed in, '' if nobody has to be.
export async function fetchAnswer(req, res, query, purpose, user, more = {}) {
  const session = query.get('session') ?? '';
  const state = cookie(req, 'state'); // the state is in no address
  const begun = begunSessions.get(session);
  if (!begun || begun.purpose !== purpose || (user && user !== begun.user) || !equal(begun.state, state)) {
    throw new Problem({ type: 'another_browser' });
  }
  try {
    if (query.get('error')) throw new Problem({ type: 'page_' + query.get('error') });
    const answer = await call('POST', '/api/otpverify', { session, state, result: query.get('result') ?? '', ...more });
    forget(res, session);
    return { begun, answer };
  } catch (err) {
    if (!['no_answer', 'urn:twofa:storage_unavailable'].includes(err.type)) forget(res, session); // else a reload fetches again
    throw err;
  }
}

function forget(res, session) {
  begunSessions.remove(session);
  setCookie(res, 'state', '', 0);
}

// proves reports whether an answer is a proof of the user for the purpose. A test number proves nothing.
export function proves(answer, user, purpose) {
  return answer.status === 'approved' && answer.purpose === purpose && !answer.test && (!answer.factor || answer.user === user);
}

// words are what people read. Each kind of refusal has its own; detail is for developers.
export function words(err) {
  switch (err?.type) {
    case 'urn:twofa:wrong_code':
      return `That is not the code. ${err.checksLeft} tries are left.`;
    case 'urn:twofa:expired': case 'urn:twofa:canceled': case 'urn:twofa:not_found': case 'urn:twofa:already_used':
    case 'another_browser': case 'page_expired': case 'page_failed':
      return 'This is over. Begin again.';
    case 'urn:twofa:denied': case 'page_denied':
      return 'Somebody answered that it was not them. If it was you, begin again.';
    case 'page_canceled':
      return 'You canceled.';
    case 'urn:twofa:destination_refused': case 'urn:twofa:undeliverable':
      return 'We cannot send codes there. Use another number.';
    case 'urn:twofa:invalid_request':
      return 'Check what you typed, and try again.';
    case 'urn:twofa:precondition_failed':
      return 'This name is taken.';
  }
  return err?.retryAfter ? `Too often. Try again in ${Math.ceil(err.retryAfter / 60)} min.` : 'This did not work. Begin again in a minute.';
}

// refuse tells a person why something did not work.
export function refuse(res, err, status, body) {
  if (!(err instanceof Problem)) throw err;
  show(res, status, words(err), body);
}

// alert warns a user. A refusal is in the log and stops nothing: an address gets few alerts a day.
export async function alert(req, user, event) {
  const agent = req.headers['user-agent'] ?? '';
  const device = ['Firefox', 'Edg', 'Chrome', 'Safari'].find((name) => agent.includes(name)); // never the whole text, which strangers choose
  await call('POST', userPath(user) + '/alerts', { event, detail: { device } }).catch(() => {});
}

// clientIP is the person's address. Behind a proxy of your own, take it from the proxy's header.
export const clientIP = (req) => req.socket.remoteAddress;
