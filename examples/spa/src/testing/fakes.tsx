// Stand-ins for the API and for oidc-client-ts.
import { render } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import type { User } from "oidc-client-ts";
import { StrictMode } from "react";
import { vi } from "vitest";
import type { Api, Note, Person } from "../api";
import { App } from "../App";
import type { Manager } from "../auth";

export const config = { issuer: "https://twofa.example.com/oidc", client_id: "notes" };

export const ann: Person = {
  sub: "5b1f",
  preferred_username: "user-1",
  phone_number: "+14155550123",
  phone_number_verified: true,
  auth_time: 1_790_000_000,
  amr: ["otp", "sms"],
  acr: "urn:twofa:acr:1",
};

export const note = (title: string): Note => ({ id: title, title, text: "Bread", made_at: "2026-11-27T02:00:00Z" });

/** An API at which nobody is signed in, and in which everything works. */
export function fakeApi(change: Partial<Api> = {}) {
  return {
    config: vi.fn<Api["config"]>(async () => config),
    session: vi.fn<Api["session"]>(async () => null),
    signIn: vi.fn<Api["signIn"]>(async () => ann),
    signOut: vi.fn<Api["signOut"]>(async () => "the-id-token"),
    notes: vi.fn<Api["notes"]>(async () => []),
    addNote: vi.fn<Api["addNote"]>(async (draft) => ({ ...note(draft.title), text: draft.text })),
    deleteNote: vi.fn<Api["deleteNote"]>(async () => {}),
    ...change,
  };
}

/** A provider that lets everybody in. A redirect leaves the page, so it never ends. */
export function fakeManager(change: Partial<Manager> = {}) {
  return {
    signinRedirect: vi.fn<Manager["signinRedirect"]>(() => new Promise(() => {})),
    signinRedirectCallback: vi.fn<Manager["signinRedirectCallback"]>(async () => ({ id_token: "the-id-token" }) as User),
    removeUser: vi.fn<Manager["removeUser"]>(async () => {}),
    signoutRedirect: vi.fn<Manager["signoutRedirect"]>(() => new Promise(() => {})),
    ...change,
  };
}

/** Opens the app at a path, as main.tsx does. */
export function open(path: string, api: Api = fakeApi(), manager: Manager = fakeManager()) {
  history.replaceState(null, "", path);
  render(
    <StrictMode>
      <App api={api} newManager={() => manager} />
    </StrictMode>,
  );
  return userEvent.setup();
}
