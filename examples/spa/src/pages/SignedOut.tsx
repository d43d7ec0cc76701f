import { Page, ProblemBox } from "../ui";
import type { Problem } from "../words";
import { SignInButtons, type SignIn } from "./Home";

/** Where the provider sends the browser after a sign-out. */
export function SignedOut({ problem, signIn }: { problem?: Problem | undefined; signIn: SignIn }) {
  return (
    <Page title="You are signed out">
      {problem ? <ProblemBox problem={problem} /> : <p className="lead">Your notes are safe, and wait for you.</p>}
      <SignInButtons signIn={signIn} />
    </Page>
  );
}
