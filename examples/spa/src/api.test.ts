import { expect, test, vi } from "vitest";
import { api, Invalid, Refused, Unreachable } from "./api";

/** Answers the next call, and keeps what was asked. */
function answers(status: number, value?: unknown) {
  const fetch = vi.fn(async (_path: string, _options: RequestInit) => new Response(value === undefined ? null : JSON.stringify(value), { status }));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

test("the sign-in hands the token over in the header, and nothing else does", async () => {
  const fetch = answers(200, { person: { sub: "5b1f" } });
  expect(await api.signIn("TOKEN")).toEqual({ sub: "5b1f" });
  expect(fetch.mock.calls[0]).toMatchObject(["/api/session", { method: "POST", headers: { Authorization: "Bearer TOKEN" } }]);
  await api.session();
  expect(fetch.mock.calls[1]).toMatchObject(["/api/session", { method: "GET", headers: {} }]);
});

test("a note is sent as JSON", async () => {
  const fetch = answers(201, { id: "1", title: "Groceries", text: "Bread", made_at: "2026-11-27T02:00:00Z" });
  expect((await api.addNote({ title: "Groceries", text: "Bread" })).id).toBe("1");
  const [path, options] = fetch.mock.calls[0]!;
  expect(path).toBe("/api/notes");
  expect(options.headers).toEqual({ "Content-Type": "application/json" });
  expect(JSON.parse(options.body as string)).toEqual({ title: "Groceries", text: "Bread" });
});

test("an id cannot change the path", async () => {
  const fetch = answers(204);
  await api.deleteNote("../session");
  expect(fetch.mock.calls[0]![0]).toBe("/api/notes/..%2Fsession");
});

test("errors", async () => {
  answers(422, { faults: { title: "taken" } });
  await expect(api.addNote({ title: "a", text: "b" })).rejects.toEqual(new Invalid({ title: "taken" }));
  answers(401, { error: "sign in" });
  await expect(api.notes()).rejects.toMatchObject(new Refused(401));
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(api.notes()).rejects.toBeInstanceOf(Unreachable);
  vi.stubGlobal("fetch", async () => Promise.reject(new DOMException("timed out", "TimeoutError")));
  await expect(api.signOut()).rejects.toBeInstanceOf(Unreachable);
  vi.stubGlobal("fetch", async () => new Response("<html>", { status: 200 }));
  await expect(api.config()).rejects.toBeInstanceOf(SyntaxError);
});
