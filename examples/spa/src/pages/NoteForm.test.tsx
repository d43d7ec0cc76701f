import { render, screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import { empty, Invalid, Refused, Unreachable, type Api, type Note } from "../api";
import { fakeApi, note } from "../testing/fakes";
import { check, NoteForm } from "./NoteForm";

function open(api: Api = fakeApi()) {
  const saved = vi.fn();
  const signIn = vi.fn(async () => {});
  function Form() {
    const [draft, setDraft] = useState(empty);
    return <NoteForm api={api} draft={draft} setDraft={setDraft} began={() => {}} saved={saved} signIn={signIn} />;
  }
  render(<Form />);
  return { user: userEvent.setup(), saved, signIn };
}

const title = () => screen.getByRole("textbox", { name: "Title" });
const text = () => screen.getByRole("textbox", { name: "Text" });
const save = () => screen.getByRole("button", { name: "Save the note" });

/** What a screen reader says about a field beside its name. */
const description = (field: HTMLElement) =>
  field.getAttribute("aria-describedby")!.split(" ").map((id) => document.getElementById(id)?.textContent); // prettier-ignore

test("what is checked before the API is asked", () => {
  expect(check({ title: "Groceries", text: "Bread" })).toEqual({});
  expect(check({ title: " ", text: "" })).toEqual({ title: "missing", text: "missing" });
  expect(check({ title: "x".repeat(81), text: "x".repeat(1001) })).toEqual({ title: "too_long", text: "too_long" });
  expect(check({ title: "😀".repeat(80), text: "x".repeat(1000) })).toEqual({}); // characters, not code units
});

test("an empty form is not sent: a summary, a sentence at each field, and the focus at the first one", async () => {
  const api = fakeApi();
  const { user } = open(api);
  expect(title()).toHaveProperty("ariaInvalid", null);
  await user.click(save());
  expect(api.addNote).not.toHaveBeenCalled();
  expect(screen.getByRole("alert").textContent).toContain("Two fields need a change:");
  expect(document.activeElement).toBe(title());
  for (const [field, sentence] of [[title(), "Enter a title."], [text(), "Enter a text."]] as const) {
    expect(field).toHaveProperty("ariaInvalid", "true");
    expect(description(field)).toContain(sentence);
  }
  await user.click(screen.getByRole("link", { name: "Enter a text." }));
  expect(document.activeElement).toBe(text());
});

test("the focus goes to the field that is wrong, after every attempt", async () => {
  const { user } = open();
  await user.type(title(), "Groceries");
  for (let i = 0; i < 2; i++) {
    await user.click(save());
    expect(document.activeElement).toBe(text());
  }
  expect(title()).toHaveProperty("ariaInvalid", null);
  expect(description(title())).toEqual(["Up to 80 characters"]);
});

test("Enter in the title sends the form, and the fields are empty afterwards", async () => {
  const api = fakeApi();
  const { user, saved } = open(api);
  await user.type(text(), " Bread ");
  await user.type(title(), " Groceries {Enter}");
  await waitFor(() => expect(saved).toHaveBeenCalled());
  expect(api.addNote).toHaveBeenCalledExactlyOnceWith({ title: "Groceries", text: "Bread" });
  expect([title(), text()].map((field) => (field as HTMLInputElement).value)).toEqual(["", ""]);
  expect(document.activeElement).toBe(title());
  expect(screen.queryByRole("alert")).toBeNull();
});

test("what only the API knows is shown in the same way", async () => {
  const { user, saved } = open(fakeApi({ addNote: async () => Promise.reject(new Invalid({ title: "taken" })) }));
  await user.type(title(), "Groceries");
  await user.type(text(), "Bread");
  await user.click(save());
  expect((await screen.findByRole("alert")).textContent).toContain("One field needs a change:");
  expect(description(title())).toContain("You have a note with this title. Choose another title.");
  await waitFor(() => expect(document.activeElement).toBe(title()));
  expect((text() as HTMLTextAreaElement).value).toBe("Bread");
  expect(saved).not.toHaveBeenCalled();
});

test("a second press while the note is being saved has no effect", async () => {
  let finish: (note: Note) => void = () => {};
  const addNote = vi.fn(() => new Promise<Note>((resolve) => (finish = resolve)));
  const { user, saved } = open(fakeApi({ addNote }));
  await user.type(title(), "Groceries");
  await user.type(text(), "Bread");
  await user.click(save());
  await user.click(screen.getByRole("button", { name: "Saving…" }));
  expect(addNote).toHaveBeenCalledTimes(1);
  finish(note("Groceries"));
  await waitFor(() => expect(saved).toHaveBeenCalledTimes(1));
});

test.each([
  ["no connection", new Unreachable(), "Nothing was changed."],
  ["an error of the API", new Refused(500), "Acme Notes has a problem"],
])("%s keeps what was typed", async (_name, error, sentence) => {
  const { user } = open(fakeApi({ addNote: async () => Promise.reject(error) }));
  await user.type(title(), "Groceries");
  await user.type(text(), "Bread");
  await user.click(save());
  expect((await screen.findByRole("alert")).textContent).toContain(sentence);
  expect((title() as HTMLInputElement).value).toBe("Groceries");
  expect(save()).toHaveProperty("ariaDisabled", "false");
});

test("a session that has ended offers the sign-in", async () => {
  const { user, signIn } = open(fakeApi({ addNote: async () => Promise.reject(new Refused(401)) }));
  await user.type(title(), "Groceries");
  await user.type(text(), "Bread");
  await user.click(save());
  await user.click(await screen.findByRole("button", { name: "Sign in" }));
  expect(signIn).toHaveBeenCalled();
});
