import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import type { Api, Draft, Note } from "../api";
import { Busy, nextText, Page, ProblemBox, Status } from "../ui";
import { apiProblem, type Problem } from "../words";
import { NoteForm } from "./NoteForm";
import { When } from "./Profile";

interface Props {
  api: Api;
  draft: Draft;
  setDraft: (draft: Draft) => void;
  signIn: () => Promise<void>;
}

/** The notes of the person who is signed in, and the form for a new one. */
export function Notes({ api, draft, setDraft, signIn }: Props) {
  const [notes, setNotes] = useState<Note[]>();
  const [problem, setProblem] = useState<Problem>();
  const [done, setDone] = useState<ReactNode>();
  const list = useRef<HTMLHeadingElement>(null);

  const load = useCallback(async () => {
    try {
      setNotes(await api.notes());
      setProblem(undefined);
    } catch (error) {
      setProblem(apiProblem(error, "load"));
    }
  }, [api]);
  useEffect(() => void load(), [load]);

  const saved = (note: Note) => {
    setNotes((before) => [note, ...(before ?? [])]);
    setDone(`“${note.title}” was saved.`);
  };
  /** Runs a change of the list, and says what was done. The button that had the focus is gone then. */
  const change = async (act: () => Promise<ReactNode>) => {
    setDone(undefined);
    try {
      const text = await act();
      setProblem(undefined);
      setDone(text);
      list.current?.focus();
    } catch (error) {
      setProblem(apiProblem(error, "save"));
    }
  };
  const remove = (note: Note) =>
    change(async () => {
      await api.deleteNote(note.id);
      setNotes((before) => before?.filter((other) => other.id !== note.id));
      return (
        <>
          “{note.title}” was deleted.{" "}
          <Busy className="plain" action={() => restore(note)} busy="One moment…">
            Undo
          </Busy>
        </>
      );
    });
  const restore = (note: Note) =>
    change(async () => {
      const made = await api.addNote({ title: note.title, text: note.text });
      setNotes((before) => [made, ...(before ?? [])]);
      return `“${note.title}” is back.`;
    });

  return (
    <Page title="Your notes">
      <Status>{done}</Status>
      {problem && (
        <ProblemBox
          problem={problem}
          next={
            <Busy action={() => (problem.next === "sign-in" ? signIn().catch(setProblem) : load())} busy="One moment…">
              {nextText[problem.next]}
            </Busy>
          }
        />
      )}
      <NoteForm api={api} draft={draft} setDraft={setDraft} began={() => setDone(undefined)} saved={saved} signIn={signIn} />
      <section aria-labelledby="saved">
        <h2 id="saved" ref={list} tabIndex={-1}>
          Saved notes
        </h2>
        {notes?.length === 0 && <p className="lead">You have no notes yet.</p>}
        {notes && notes.length > 0 && (
          <ul className="notes">
            {notes.map((note) => (
              <li key={note.id}>
                <h3>{note.title}</h3>
                <p className="text">{note.text}</p>
                <div className="foot">
                  <span className="hint">
                    <When seconds={Date.parse(note.made_at) / 1000} />
                  </span>
                  <Busy className="plain" action={() => remove(note)} busy="Deleting…" aria-label={`Delete “${note.title}”`}>
                    Delete
                  </Busy>
                </div>
              </li>
            ))}
          </ul>
        )}
      </section>
    </Page>
  );
}
