import type { ReactNode } from "react";
import type { Person } from "../api";
import { Page } from "../ui";
import { howText, strengthText } from "../words";

/** What the API knows of the person: the claims of the ID token that it has checked. */
export function Profile({ person }: { person: Person }) {
  return (
    <Page title="Your profile">
      <p className="lead">This is what the sign-in service told Acme Notes about you.</p>
      <dl className="facts">
        <Fact name="Name">{person.name}</Fact>
        <Fact name="User name">{person.preferred_username}</Fact>
        <Fact name="Phone number">{person.phone_number && <Address text={person.phone_number} verified={person.phone_number_verified === true} />}</Fact>
        <Fact name="E-mail address">{person.email && <Address text={person.email} verified={person.email_verified === true} />}</Fact>
        <Fact name="Signed in">{person.auth_time && <When seconds={person.auth_time} />}</Fact>
        <Fact name="How">
          {howText(person.amr)} ({strengthText(person.acr)})
        </Fact>
        <Fact name="Your id at Acme Notes">
          <code>{person.sub}</code>
        </Fact>
      </dl>
      <details>
        <summary>The answer of the API</summary>
        <pre tabIndex={0} role="region" aria-label="The answer of the API">
          {JSON.stringify(person, null, 2)}
        </pre>
      </details>
    </Page>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children || <span className="none">not known</span>}</dd>
    </div>
  );
}

/** An address, and whether the person has proven that it is theirs. Without that, it proves nothing. */
function Address({ text, verified }: { text: string; verified: boolean }) {
  return (
    <>
      <bdi>{text}</bdi> <span className={verified ? "badge good" : "badge bad"}>{verified ? "verified" : "not verified"}</span>
    </>
  );
}

export function When({ seconds }: { seconds: number }) {
  const at = new Date(seconds * 1000);
  return <time dateTime={at.toISOString()}>{at.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}</time>;
}
