// The web site around the example in Node: replace it by your own sessions and pages.
import { randomBytes } from 'node:crypto';

export const origin = process.env.SHOP_URL; // as https://shop.example
const secure = origin.startsWith('https://');

// Store keeps values in memory for a number of seconds.
export class Store {
  #values = new Map();
  #keep;
  constructor(keep) { this.#keep = keep * 1000; }
  put(key, value) {
    for (const [k, v] of this.#values) if (v.end <= Date.now()) this.#values.delete(k);
    this.#values.set(key, { value, end: Date.now() + this.#keep });
  }
  get(key) {
    const v = this.#values.get(key);
    return v && v.end > Date.now() ? v.value : undefined;
  }
  remove(key) { this.#values.delete(key); }
}

// random returns 43 characters of A-Z a-z 0-9 - _, from 256 random bits.
export const random = () => randomBytes(32).toString('base64url');

const cookieName = (name) => (secure ? '__Host-' : '') + name; // with the prefix, no other host can set it

export function cookie(req, name) {
  const all = (req.headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
  return all.find(([key]) => key === cookieName(name))?.[1] ?? '';
}

export function setCookie(res, name, value, seconds) {
  res.appendHeader('Set-Cookie', `${cookieName(name)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`);
}

export function redirect(res, to) {
  res.writeHead(303, { Location: to }).end();
}

export const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const inputs = {
  password: 'type="password"', phone: 'type="tel" autocomplete="tel"',
  code: 'inputmode="numeric" autocomplete="one-time-code"', // phones fill it in
};

// form has a name of its own in once, so that the shop knows one that is sent twice.
export function form(action, ...fields) {
  return `<form method="post" action="${action}"><input type="hidden" name="once" value="${random()}">` +
    fields.map((name) => `<label>${name} <input name="${name}" ${inputs[name] ?? ''}></label>`).join('') + `<button>${action}</button></form>`;
}

export function show(res, status, title, body = '') {
  res.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store' });
  res.end(`<!doctype html><html lang="en"><title>Shop</title><h1>${escape(title)}</h1>${body}`);
}

// readForm reads a form of at most 16 KiB that a page of this site sent.
export async function readForm(req) {
  if (!['same-origin', 'none', undefined].includes(req.headers['sec-fetch-site'])) throw new Error('a form of another site');
  let text = '';
  for await (const part of req.setEncoding('utf8')) {
    text += part;
    if (text.length > 16384) throw new Error('a form that is too long');
  }
  return new URLSearchParams(text);
}
