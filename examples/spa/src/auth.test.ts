// The sign-in with the real library, and a provider that is only a function.
import { SigninState } from "oidc-client-ts";
import { beforeEach, expect, test, vi } from "vitest";
import { begin, end, handOver, newManager, receive } from "./auth";
import { Refused, Unreachable } from "./api";
import { config, fakeApi, fakeManager } from "./testing/fakes";

const { issuer } = config;
const discovery = {
  issuer,
  authorization_endpoint: issuer + "/authorize",
  token_endpoint: issuer + "/token",
  end_session_endpoint: issuer + "/end-session",
  jwks_uri: issuer + "/jwks",
};

/** An ID token. The page does not check the signature: the API does. */
function idToken(claims: object): string {
  const part = (value: object) => btoa(JSON.stringify(value)).replaceAll("=", "");
  return [part({ alg: "RS256" }), part({ iss: issuer, aud: "notes", sub: "5b1f", exp: 2e9, iat: 1, ...claims }), "c2ln"].join(".");
}

/** A sign-in that is under way, as begin leaves it behind. */
async function underWay(back: unknown): Promise<void> {
  const state = await SigninState.create({
    id: "s1",
    data: back,
    authority: issuer,
    client_id: "notes",
    redirect_uri: location.origin + "/callback",
    scope: "openid",
    code_verifier: "v".repeat(43),
    nonce: "n1",
    request_type: "si:r",
    response_mode: "query",
  });
  localStorage.setItem("oidc.s1", state.toStorageString());
}

let exchanges: URLSearchParams[];
let answer: () => Response;
const tokens = (claims: object) => () => Response.json({ token_type: "Bearer", access_token: "access", id_token: idToken(claims) });

beforeEach(() => {
  exchanges = [];
  answer = tokens({ nonce: "n1" });
  vi.stubGlobal("fetch", async (address: string, options: RequestInit) => {
    if (address.endsWith("/.well-known/openid-configuration")) return Response.json(discovery);
    exchanges.push(new URLSearchParams(options.body as string));
    return answer();
  });
});

const callback = (query: string) => `${location.origin}/callback?${query}`;

test("a sign-in ends with the ID token, and leaves nothing in the storage", async () => {
  await underWay({ to: "/profile" });
  const got = await receive(newManager(config), callback("code=c1&state=s1&iss=" + encodeURIComponent(issuer)));
  expect(got).toEqual({ token: idToken({ nonce: "n1" }), back: { to: "/profile" } });
  expect(Object.fromEntries(exchanges[0]!)).toMatchObject({ grant_type: "authorization_code", code: "c1", code_verifier: "v".repeat(43) });
  expect(localStorage.length + sessionStorage.length).toBe(0);
});

test("without a path to go on at, it is the notes", async () => {
  await underWay(undefined);
  expect((await receive(newManager(config), callback("code=c1&state=s1"))).back).toEqual({ to: "/notes" });
});

test("the same address works once", async () => {
  await underWay({ to: "/notes" });
  const manager = newManager(config);
  await receive(manager, callback("code=c1&state=s1"));
  await expect(receive(manager, callback("code=c1&state=s1"))).rejects.toMatchObject({ kind: "expired" });
  expect(exchanges).toHaveLength(1);
});

test("an address that this browser did not ask for is refused before the code is used", async () => {
  await underWay({ to: "/notes" });
  await expect(receive(newManager(config), callback("code=theirs&state=theirs"))).rejects.toMatchObject({ kind: "expired" });
  await expect(receive(newManager(config), callback("code=theirs"))).rejects.toMatchObject({ kind: "expired" });
  expect(exchanges).toHaveLength(0);
});

test.each([
  ["the person canceled", "error=access_denied&state=s1", undefined, "canceled"],
  ["the provider wants a page", "error=login_required&state=s1", undefined, "login-required"],
  ["another nonce", "code=c1&state=s1", tokens({ nonce: "n2" }), "failed"],
  ["no ID token", "code=c1&state=s1", () => Response.json({ token_type: "Bearer", access_token: "a" }), "failed"],
  ["an old code", "code=c1&state=s1", () => Response.json({ error: "invalid_grant" }, { status: 400 }), "expired"],
  ["a gateway without the provider", "code=c1&state=s1", () => new Response("<html>", { status: 502, headers: { "Content-Type": "text/html" } }), "provider-down"],
  ["a provider with an error", "code=c1&state=s1", () => new Response("", { status: 503 }), "provider-down"],
  ["no connection", "code=c1&state=s1", () => { throw new TypeError("Failed to fetch"); }, "provider-unreachable"], // prettier-ignore
] as const)("%s", async (_name, query, answered, kind) => {
  await underWay({ to: "/notes" });
  if (answered) answer = answered;
  await expect(receive(newManager(config), callback(query))).rejects.toMatchObject({ kind });
  expect(localStorage.length).toBe(0);
});

test("a sign-in and a sign-up begin with a new nonce each", async () => {
  const manager = fakeManager({ signinRedirect: vi.fn(async () => {}) });
  await begin(manager, { to: "/notes" });
  await begin(manager, { to: "/notes" }, true);
  const [signIn, signUp] = vi.mocked(manager.signinRedirect).mock.calls.map(([args]) => args!);
  expect(signIn!.extraQueryParams).toBeUndefined();
  expect(signUp!.extraQueryParams).toEqual({ prompt: "create" });
  expect(signIn!.nonce).toMatch(/^[0-9a-f-]{36}$/);
  expect(signUp!.nonce).not.toBe(signIn!.nonce);
});

test("a sign-in that cannot begin says why", async () => {
  const manager = fakeManager({ signinRedirect: async () => Promise.reject(new TypeError("Failed to fetch")) });
  await expect(begin(manager, { to: "/notes" })).rejects.toMatchObject({ kind: "provider-unreachable" });
});

test("the API may refuse the ID token, or not answer", async () => {
  await expect(handOver(fakeApi({ signIn: async () => Promise.reject(new Refused(401)) }), "t")).rejects.toMatchObject({ kind: "refused" });
  await expect(handOver(fakeApi({ signIn: async () => Promise.reject(new Unreachable()) }), "t")).rejects.toMatchObject({ kind: "api-unreachable" });
});

test("the sign-out ends the session of the API first", async () => {
  const order: string[] = [];
  const api = fakeApi({ signOut: async () => (order.push("API"), "the-id-token") });
  const signoutRedirect = vi.fn(async () => void order.push("provider"));
  await end(api, fakeManager({ signoutRedirect }), () => order.push("page"));
  expect(order).toEqual(["API", "page", "provider"]);
  expect(signoutRedirect).toHaveBeenCalledWith({ id_token_hint: "the-id-token" });

  const other = vi.fn(async () => {});
  await end(fakeApi({ signOut: async () => undefined }), fakeManager({ signoutRedirect: other }), () => {});
  expect(other).toHaveBeenCalledWith({});
});

test("a sign-out that fails at the API goes no further", async () => {
  const manager = fakeManager();
  const ended = vi.fn();
  await expect(end(fakeApi({ signOut: async () => Promise.reject(new Unreachable()) }), manager, ended)).rejects.toMatchObject({ kind: "api-unreachable" });
  expect(ended).not.toHaveBeenCalled();
  expect(manager.signoutRedirect).not.toHaveBeenCalled();
});
