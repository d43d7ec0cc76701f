import { useEffect, useId, useRef, useState, type FormEvent } from "react";
import { empty, Invalid, type Api, type Draft, type Faults, type Note } from "../api";
import { Busy, nextText, ProblemBox } from "../ui";
import { apiProblem, faultText, longest, type Problem } from "../words";

const fields = ["title", "text"] as const;

/** What the page can check without the API. The API checks it, too, and what only it knows. */
export function check(draft: Draft): Faults {
  const faults: Faults = {};
  for (const field of fields) {
    const length = [...draft[field].trim()].length; // in characters, as Go counts them
    if (length === 0) faults[field] = "missing";
    else if (length > longest[field]) faults[field] = "too_long";
  }
  return faults;
}

interface Props {
  api: Api;
  /** What is typed. It outlives the form: a person who has to sign in again finds it as it was. */
  draft: Draft;
  setDraft: (draft: Draft) => void;
  /** The person has asked to save. */
  began: () => void;
  saved: (note: Note) => void;
  signIn: () => Promise<void>;
}

/**
 * The form of a new note. If fields are wrong, a summary lists them, each has its sentence, and the first one gets
 * the focus. A problem with the API keeps what was typed.
 */
export function NoteForm({ api, draft, setDraft, began, saved, signIn }: Props) {
  const [faults, setFaults] = useState<Faults>({});
  const [problem, setProblem] = useState<Problem>();
  const [saving, setSaving] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const id = useId();

  // Each answer with faults is an object of its own, so the focus moves after every attempt.
  useEffect(() => {
    const wrong = fields.find((field) => faults[field]);
    if (wrong) focus(wrong);
  }, [faults]);
  const focus = (field: keyof Draft) => (form.current?.elements.namedItem(field) as HTMLElement | null)?.focus();

  const save = async () => {
    began();
    setProblem(undefined);
    const found = check(draft);
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    setSaving(true);
    try {
      const note = await api.addNote({ title: draft.title.trim(), text: draft.text.trim() });
      setDraft(empty);
      focus("title");
      saved(note);
    } catch (error) {
      if (error instanceof Invalid) setFaults(error.faults);
      else setProblem(apiProblem(error, "save"));
    } finally {
      setSaving(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!saving) void save();
  };

  const wrong = fields.filter((field) => faults[field]);
  const field = (name: keyof Draft, label: string) => {
    const fault = faults[name];
    const Input = name === "text" ? "textarea" : "input";
    return (
      <div className="field">
        <label htmlFor={`${id}-${name}`}>{label}</label>
        <p className="hint" id={`${id}-${name}-hint`}>
          Up to {longest[name]} characters
        </p>
        {fault && (
          <p className="error" id={`${id}-${name}-error`}>
            {faultText(name, fault)}
          </p>
        )}
        <Input
          id={`${id}-${name}`}
          name={name}
          value={draft[name]}
          onChange={(event: { target: { value: string } }) => setDraft({ ...draft, [name]: event.target.value })}
          aria-required
          aria-invalid={fault ? true : undefined}
          aria-describedby={`${id}-${name}-hint${fault ? ` ${id}-${name}-error` : ""}`}
          autoComplete="off"
          {...(name === "text" && { rows: 4 })}
        />
      </div>
    );
  };

  return (
    <form ref={form} onSubmit={submit} noValidate aria-labelledby={`${id}-heading`}>
      <h2 id={`${id}-heading`}>New note</h2>
      {wrong.length > 0 && (
        <div className="box bad" role="alert">
          <p className="what">The note was not saved. {wrong.length === 1 ? "One field needs a change:" : "Two fields need a change:"}</p>
          <ul>
            {wrong.map((name) => (
              <li key={name}>
                <a
                  href={`#${id}-${name}`}
                  onClick={(event) => {
                    event.preventDefault();
                    focus(name);
                  }}
                >
                  {faultText(name, faults[name]!)}
                </a>
              </li>
            ))}
          </ul>
        </div>
      )}
      {problem && (
        <ProblemBox
          problem={problem}
          next={
            problem.next === "sign-in" && (
              <Busy action={() => signIn().catch(setProblem)} busy="Opening the sign-in…">
                {nextText["sign-in"]}
              </Busy>
            )
          }
        />
      )}
      {field("title", "Title")}
      {field("text", "Text")}
      <button type="submit" className="main" aria-disabled={saving}>
        {saving ? "Saving…" : "Save the note"}
      </button>
    </form>
  );
}
