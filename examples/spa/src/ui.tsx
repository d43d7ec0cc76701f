// What all pages share: a heading that gets the focus, boxes for messages, and buttons for things that take time.
import { useEffect, useRef, useState, type ComponentProps, type ReactNode } from "react";
import { Problem, type Next } from "./words";

let first = true;

/**
 * One page. Its title is the heading and the title of the document. When it appears, or its title changes, the
 * heading gets the focus, so that a screen reader says where the person is now. Not for the first page that is
 * loaded: browsers and screen readers do that themselves.
 */
export function Page({ title, children }: { title: string; children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} – Acme Notes`;
    if (!first) heading.current?.focus();
    first = false;
  }, [title]);
  return (
    <main>
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {children}
    </main>
  );
}

/** The page of a step that takes a moment, and needs nothing of the person. */
export function Moment({ title }: { title: string }) {
  return (
    <Page title={title}>
      <p role="status">One moment…</p>
    </Page>
  );
}

/** Text that a screen reader says when it changes. It is in the page from the beginning, and empty. */
export function Status({ children }: { children?: ReactNode }) {
  return (
    <div role="status" className={children ? "box good" : undefined}>
      {children}
    </div>
  );
}

/** A problem in a page that stays. It is said at once, and has the button that goes on. */
export function ProblemBox({ problem, next }: { problem: Problem; next?: ReactNode }) {
  return (
    <div role="alert" className="box bad">
      <p className="what">{problem.title}</p>
      <p>{problem.text}</p>
      {next}
    </div>
  );
}

/**
 * A button for something that takes time. It stays in the page and keeps the focus, and a second press has no
 * effect until the first one is done.
 */
export function Busy({ action, busy, children, ...rest }: { action: () => Promise<void>; busy: string } & Omit<ComponentProps<"button">, "onClick">) {
  const [running, setRunning] = useState(false);
  const press = () => {
    if (running) return;
    setRunning(true);
    void action().finally(() => setRunning(false));
  };
  return (
    <button type="button" {...rest} onClick={press} aria-disabled={running}>
      {running ? busy : children}
    </button>
  );
}

/** What the button after a problem says. */
export const nextText: Record<Next, string> = { "sign-in": "Sign in", retry: "Try again", home: "Go to the first page" };
