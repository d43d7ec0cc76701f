import { useState } from "react";
import type { Path } from "../router";
import { Busy, Page, ProblemBox } from "../ui";
import type { Problem } from "../words";

export type SignIn = (to?: Path, create?: boolean) => Promise<void>;

/** The page of a person who is not signed in. With `to`, that is where they wanted to go. */
export function Home({ signIn, to }: { signIn: SignIn; to?: Path }) {
  return (
    <Page title={to ? "Sign in to go on" : "Notes that are yours"}>
      <p className="lead">You sign in with a code that you get on your phone or by e-mail. There is no password.</p>
      <SignInButtons signIn={signIn} {...(to && { to })} />
    </Page>
  );
}

/** The two ways in, and why they did not work. */
export function SignInButtons({ signIn, to }: { signIn: SignIn; to?: Path }) {
  const [problem, setProblem] = useState<Problem>();
  const leave = (create: boolean) => async () => {
    setProblem(undefined);
    await signIn(to, create).catch(setProblem);
  };
  return (
    <>
      {problem && <ProblemBox problem={problem} />}
      <div className="buttons">
        <Busy className="main" action={leave(false)} busy="Opening the sign-in…">
          Sign in
        </Busy>
        <Busy action={leave(true)} busy="Opening the sign-up…">
          Create an account
        </Busy>
      </div>
    </>
  );
}
