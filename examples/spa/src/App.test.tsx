import { screen, waitFor, within } from "@testing-library/react";
import { ErrorResponse, type User } from "oidc-client-ts";
import { expect, test, vi } from "vitest";
import { Refused, Unreachable } from "./api";
import { ann, fakeApi, fakeManager, note, open } from "./testing/fakes";

const button = (name: string) => screen.findByRole("button", { name });
const heading = (name: string) => screen.findByRole("heading", { level: 1, name });

/** Waits for a page, and checks that a person who hears it knows where they are. */
async function arrives(title: string) {
  const h1 = await heading(title);
  await waitFor(() => expect(document.activeElement).toBe(h1));
  expect(document.title).toBe(`${title} – Acme Notes`);
}

const back = (user: object) => vi.fn(async () => ({ id_token: "the-id-token", ...user }) as User);

test("a person who is not signed in can sign in, or create an account", async () => {
  const manager = fakeManager();
  const user = open("/", fakeApi(), manager);
  await user.click(await button("Sign in"));
  expect(manager.signinRedirect).toHaveBeenCalledWith(expect.objectContaining({ state: { to: "/notes" } }));
  expect(await button("Opening the sign-in…")).toHaveProperty("ariaDisabled", "true");
  await user.click(await button("Opening the sign-in…"));
  expect(manager.signinRedirect).toHaveBeenCalledTimes(1);
  await user.click(await button("Create an account"));
  expect(manager.signinRedirect).toHaveBeenLastCalledWith(expect.objectContaining({ extraQueryParams: { prompt: "create" } }));
});

test("a sign-in that cannot begin says so, and can be tried again", async () => {
  const signinRedirect = vi.fn(async () => Promise.reject(new TypeError("Failed to fetch")));
  const user = open("/", fakeApi(), fakeManager({ signinRedirect }));
  await user.click(await button("Sign in"));
  expect(await screen.findByRole("alert")).toHaveProperty("textContent", expect.stringContaining("The sign-in service cannot be reached"));
  await user.click(await button("Sign in"));
  expect(signinRedirect).toHaveBeenCalledTimes(2);
});

test("a page behind the sign-in brings the person back to it", async () => {
  const manager = fakeManager();
  const user = open("/profile", fakeApi(), manager);
  await heading("Sign in to go on");
  await user.click(await button("Sign in"));
  expect(manager.signinRedirect).toHaveBeenCalledWith(expect.objectContaining({ state: { to: "/profile" } }));
});

test("the callback hands the ID token over once, also in strict mode, and goes on", async () => {
  const api = fakeApi();
  const manager = fakeManager({ signinRedirectCallback: back({ state: { to: "/profile" } }) });
  open("/callback?code=c1&state=s1", api, manager);
  await arrives("Your profile");
  expect(manager.signinRedirectCallback).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("/callback?code=c1&state=s1"));
  expect(api.signIn).toHaveBeenCalledExactlyOnceWith("the-id-token");
  expect(manager.removeUser).toHaveBeenCalled();
  expect(location.pathname + location.search).toBe("/profile");
  expect(screen.getByText("+14155550123").parentElement).toHaveProperty("textContent", "+14155550123 verified");
  expect(screen.getByText("a code, by SMS (one factor)")).toBeDefined();
});

test("the callback goes to pages of the app only", async () => {
  open("/callback?code=c1&state=s1", fakeApi(), fakeManager({ signinRedirectCallback: back({ state: { to: "https://evil.example" } }) }));
  await arrives("Your notes");
  expect(location.pathname).toBe("/notes");
});

test("an address that is not proven is not shown as verified", async () => {
  open("/profile", fakeApi({ session: async () => ({ ...ann, email: "ann@example.com" }) }));
  expect((await screen.findByText("ann@example.com")).parentElement).toHaveProperty("textContent", "ann@example.com not verified");
});

test.each([
  ["access_denied", "You canceled the sign-in"],
  ["login_required", "Please sign in again"],
  ["temporarily_unavailable", "The sign-in service has a problem"],
])("the callback with %s", async (error, title) => {
  const manager = fakeManager({ signinRedirectCallback: async () => Promise.reject(new ErrorResponse({ error })) });
  const user = open(`/callback?error=${error}&state=s1`, fakeApi(), manager);
  await arrives(title);
  expect(location.search).toBe("");
  expect(screen.getByRole("link", { name: "Go to the first page" })).toHaveProperty("pathname", "/");
  await user.click(await button("Sign in"));
  expect(manager.signinRedirect).toHaveBeenCalled();
});

test("an old address of the callback says so", async () => {
  const signinRedirectCallback = async () => Promise.reject(new Error("No matching state found in storage"));
  open("/callback?code=c1&state=s1", fakeApi(), fakeManager({ signinRedirectCallback }));
  await arrives("This sign-in is over");
});

test("an old address of the callback leads on if the person is signed in", async () => {
  const signinRedirectCallback = async () => Promise.reject(new Error("No matching state found in storage"));
  open("/callback?code=c1&state=s1", fakeApi({ session: async () => ann }), fakeManager({ signinRedirectCallback }));
  await arrives("Your notes");
});

test("if the API does not answer, the same ID token is handed over again", async () => {
  const signIn = vi.fn().mockRejectedValueOnce(new Unreachable()).mockResolvedValueOnce(ann);
  const manager = fakeManager();
  const user = open("/callback?code=c1&state=s1", fakeApi({ signIn }), manager);
  await arrives("Acme Notes cannot be reached");
  await user.click(await button("Try again"));
  await arrives("Your notes");
  expect(manager.signinRedirectCallback).toHaveBeenCalledTimes(1);
  expect(signIn.mock.calls).toEqual([["the-id-token"], ["the-id-token"]]);
});

test("if the API refuses the ID token, the person signs in again", async () => {
  const manager = fakeManager();
  const user = open("/callback?code=c1&state=s1", fakeApi({ signIn: async () => Promise.reject(new Refused(401)) }), manager);
  await arrives("Acme Notes did not accept the sign-in");
  await user.click(await button("Sign in"));
  expect(manager.signinRedirect).toHaveBeenCalled();
});

test("a person who is signed in goes from page to page with the keyboard", async () => {
  const user = open("/", fakeApi({ session: async () => ann }));
  await heading("Your notes");
  const nav = within(screen.getByRole("navigation"));
  expect(nav.getByRole("link", { name: "Notes" })).toHaveProperty("ariaCurrent", "page");
  nav.getByRole("link", { name: "Profile" }).focus();
  await user.keyboard("{Enter}");
  await arrives("Your profile");
  expect(nav.getByRole("link", { name: "Your account" })).toHaveProperty("href", "https://twofa.example.com/oidc/account?client_id=notes");
  history.back();
  await arrives("Your notes");
});

test("the sign-out", async () => {
  const api = fakeApi({ session: async () => ann });
  const manager = fakeManager();
  const user = open("/notes", api, manager);
  await user.click(await button("Sign out"));
  await arrives("Signing you out");
  expect(manager.signoutRedirect).toHaveBeenCalledWith({ id_token_hint: "the-id-token" });
  expect(screen.queryByRole("navigation")).toBeNull();
});

test("a sign-out without a connection leaves the person signed in, and says so", async () => {
  const user = open("/notes", fakeApi({ session: async () => ann, signOut: async () => Promise.reject(new Unreachable()) }));
  await user.click(await button("Sign out"));
  expect((await screen.findByRole("alert")).textContent).toContain("You are still signed in");
  expect(await button("Sign out")).toBeDefined();
});

test("a sign-out without the provider says what is left to do", async () => {
  const signoutRedirect = async () => Promise.reject(new TypeError("Failed to fetch"));
  const user = open("/notes", fakeApi({ session: async () => ann }), fakeManager({ signoutRedirect }));
  await user.click(await button("Sign out"));
  await arrives("You are signed out");
  expect(screen.getByRole("alert").textContent).toContain("but not of the sign-in service");
});

test("the app says that its API does not answer, and tries again", async () => {
  const config = vi.fn().mockRejectedValue(new Unreachable());
  const user = open("/", fakeApi({ config }));
  await heading("Acme Notes cannot be reached");
  config.mockResolvedValue({ issuer: "https://twofa.example.com/oidc", client_id: "notes" });
  await user.click(await button("Try again"));
  await arrives("Notes that are yours");
});

test("an unknown path", async () => {
  open("/nowhere");
  await heading("There is no such page");
});

test("what was typed comes back after a sign-in, to the same person alone", async () => {
  const draft = { title: "Groceries", text: "Bread" };
  open("/callback?code=c1&state=s1", fakeApi(), fakeManager({ signinRedirectCallback: back({ state: { to: "/notes", draft, sub: ann.sub } }) }));
  expect(await screen.findByDisplayValue("Groceries")).toBeDefined();
});

test("what another person has typed does not come back", async () => {
  const draft = { title: "Groceries", text: "Bread" };
  open("/callback?code=c1&state=s1", fakeApi(), fakeManager({ signinRedirectCallback: back({ state: { to: "/notes", draft, sub: "other" } }) }));
  await arrives("Your notes");
  expect(screen.queryByDisplayValue("Groceries")).toBeNull();
});

test("a note can be deleted, and brought back", async () => {
  const api = fakeApi({ session: async () => ann, notes: async () => [note("Groceries"), note("Books")] });
  const user = open("/notes", api);
  await user.click(await button("Delete “Groceries”"));
  expect(await screen.findByText(/was deleted/)).toBeDefined();
  expect(api.deleteNote).toHaveBeenCalledWith("Groceries");
  expect(document.activeElement?.textContent).toBe("Saved notes");
  expect(screen.queryByRole("heading", { level: 3, name: "Groceries" })).toBeNull();
  await user.click(await button("Undo"));
  expect(await screen.findByRole("heading", { level: 3, name: "Groceries" })).toBeDefined();
  expect(screen.getByRole("status").textContent).toBe("“Groceries” is back.");
});

test("notes that cannot be read say so, and are read again", async () => {
  const notes = vi.fn().mockRejectedValue(new Refused(503));
  const user = open("/notes", fakeApi({ session: async () => ann, notes }));
  expect((await screen.findByRole("alert")).textContent).toContain("Acme Notes has a problem");
  notes.mockResolvedValue([note("Groceries")]);
  await user.click(await button("Try again"));
  await screen.findByRole("heading", { level: 3, name: "Groceries" });
  expect(screen.queryByRole("alert")).toBeNull();
});
