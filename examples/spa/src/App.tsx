import { useCallback, useEffect, useState, type ReactNode } from "react";
import { empty, type Api, type Config, type Draft, type Person } from "./api";
import { begin, end, type Manager, type Return } from "./auth";
import { Callback } from "./pages/Callback";
import { Home } from "./pages/Home";
import { Notes } from "./pages/Notes";
import { Profile } from "./pages/Profile";
import { SignedOut } from "./pages/SignedOut";
import { go, Link, ours, usePath, type Path } from "./router";
import { Busy, Moment, Page, ProblemBox } from "./ui";
import { apiProblem, type Problem } from "./words";

interface Props {
  api: Api;
  newManager: (config: Config) => Manager;
}

/** What the page knows once the API has answered. */
interface Ready {
  config: Config;
  manager: Manager;
}

export function App({ api, newManager }: Props) {
  const [ready, setReady] = useState<Ready>();
  const [person, setPerson] = useState<Person | null>(null);
  const [draft, setDraft] = useState<Draft>(empty);
  const [problem, setProblem] = useState<Problem>();
  const [leaving, setLeaving] = useState(false);
  const path = usePath();

  const load = useCallback(async () => {
    try {
      const [config, who] = await Promise.all([api.config(), api.session()]);
      setPerson(who);
      setReady({ config, manager: newManager(config) });
      setProblem(undefined);
    } catch (error) {
      setProblem(apiProblem(error, "load"));
    }
  }, [api, newManager]);
  useEffect(() => void load(), [load]);

  // A problem with the sign-out belongs to the page on which it happened.
  useEffect(() => setProblem(undefined), [path]);

  // These pages are for people who are not signed in.
  const elsewhere = person !== null && (path === "/" || path === "/signed-out");
  useEffect(() => {
    if (elsewhere) go("/notes", { replace: true });
  }, [elsewhere]);

  if (!ready) {
    return (
      <Frame>
        {problem ? (
          <Page title={problem.title}>
            <p className="lead">{problem.text}</p>
            <Busy className="main" action={load} busy="Trying again…">
              Try again
            </Busy>
          </Page>
        ) : (
          <main>
            <p role="status">Loading…</p>
          </main>
        )}
      </Frame>
    );
  }
  const { config, manager } = ready;

  const signIn = (to: Path = "/notes", create = false) => {
    const back: Return = { to };
    if (person && (draft.title || draft.text)) Object.assign(back, { draft, sub: person.sub });
    return begin(manager, back, create);
  };
  const signedIn = (who: Person, back: Return) => {
    setPerson(who);
    if (back.draft && back.sub === who.sub) setDraft(back.draft);
    go(ours(back.to) ?? "/notes", { replace: true });
  };
  const signOut = async () => {
    try {
      await end(api, manager, () => {
        setLeaving(true);
        setPerson(null);
        setDraft(empty);
        go("/signed-out", { replace: true });
      });
    } catch (error) {
      setProblem(error as Problem);
    } finally {
      setLeaving(false); // also if the person comes back with the browser's button
    }
  };

  const page = (): ReactNode => {
    switch (path) {
      case "/callback":
        return <Callback api={api} manager={manager} person={person} signIn={signIn} signedIn={signedIn} />;
      case "/":
        return <Home signIn={signIn} />;
      case "/signed-out":
        return leaving ? <Moment title="Signing you out" /> : <SignedOut problem={problem} signIn={signIn} />;
      case "/notes":
        return person ? <Notes api={api} draft={draft} setDraft={setDraft} signIn={signIn} /> : <Home signIn={signIn} to={path} />;
      case "/profile":
        return person ? <Profile person={person} /> : <Home signIn={signIn} to={path} />;
      default:
        return (
          <Page title="There is no such page">
            <p>
              <Link to="/">Go to the first page</Link>
            </p>
          </Page>
        );
    }
  };

  return (
    <Frame>
      {person && (
        <nav aria-label="Acme Notes">
          <Link to="/notes">Notes</Link>
          <Link to="/profile">Profile</Link>
          {/* The provider's page, where people change number and address, and see where they are signed in. */}
          <a href={`${config.issuer}/account?client_id=${encodeURIComponent(config.client_id)}`}>Your account</a>
          <Busy className="plain" action={signOut} busy="Signing out…">
            Sign out
          </Busy>
        </nav>
      )}
      {problem && path !== "/signed-out" && <ProblemBox problem={problem} />}
      {!elsewhere && page()}
    </Frame>
  );
}

function Frame({ children }: { children: ReactNode }) {
  return (
    <>
      <header>
        <Link to="/" className="brand">
          Acme Notes
        </Link>
      </header>
      {children}
    </>
  );
}
