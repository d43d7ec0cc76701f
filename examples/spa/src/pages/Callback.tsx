import { useCallback, useEffect, useRef, useState } from "react";
import type { Api, Person } from "../api";
import { handOver, receive, type Manager, type Return } from "../auth";
import { go, Link } from "../router";
import { Busy, Moment, nextText, Page, ProblemBox } from "../ui";
import type { Problem } from "../words";
import type { SignIn } from "./Home";

interface Props {
  api: Api;
  manager: Manager;
  /** Who has a session with the API already. */
  person: Person | null;
  signIn: SignIn;
  signedIn: (person: Person, back: Return) => void;
}

/** Where the provider sends the browser after a sign-in: with a code, or with an error. */
export function Callback({ api, manager, person, signIn, signedIn }: Props) {
  const [problem, setProblem] = useState<Problem>();
  const [again, setAgain] = useState<Problem>();
  const received = useRef<{ token: string; back: Return }>(undefined);

  const finish = useCallback(async () => {
    try {
      if (!received.current) {
        const address = location.href;
        // The code works once: a reload must not try it a second time, and it does not belong into the history.
        history.replaceState(null, "", "/callback");
        received.current = await receive(manager, address);
      }
      const { token, back } = received.current;
      signedIn(await handOver(api, token), back);
    } catch (error) {
      setProblem(error as Problem);
    }
  }, [api, manager, signedIn]);

  // Once, also under React's strict mode, which runs effects twice: the code works once.
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    void finish();
  }, [finish]);

  // Somebody who is signed in came back to an old address.
  const stale = problem?.kind === "expired" && person !== null;
  useEffect(() => {
    if (stale) go("/notes", { replace: true });
  }, [stale]);

  if (!problem || stale) return <Moment title="Signing you in" />;
  const goOn = problem.next === "retry" ? finish : () => signIn().catch(setAgain);
  return (
    <Page title={problem.title}>
      <p className="lead">{problem.text}</p>
      {again && <ProblemBox problem={again} />}
      <div className="buttons">
        <Busy className="main" action={goOn} busy="One moment…">
          {nextText[problem.next]}
        </Busy>
        <Link to="/" className="button">
          {nextText.home}
        </Link>
      </div>
    </Page>
  );
}
