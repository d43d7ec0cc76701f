// What people read when something goes wrong. Every text says what happened and what to do next.
import { ErrorResponse, ErrorTimeout } from "oidc-client-ts";
import { Refused, Unreachable, type Draft, type Fault } from "./api";

/** How a person goes on after a problem: signs in again, tries the same thing again, or goes to the first page. */
export type Next = "sign-in" | "retry" | "home";

export class Problem extends Error {
  constructor(
    /** Names the problem for code. */
    readonly kind: string,
    readonly title: string,
    readonly text: string,
    readonly next: Next,
  ) {
    super(title);
  }
}

const canceled = () => new Problem("canceled", "You canceled the sign-in", "Nothing was changed. You can sign in now, or at any other time.", "sign-in");
const loginRequired = () => new Problem("login-required", "Please sign in again", "The sign-in service wants to see you on its own page first.", "sign-in");
const expired = () => new Problem("expired", "This sign-in is over", "It was finished before, it took too long, or it began in another browser. Please sign in again.", "sign-in");
const providerDown = () => new Problem("provider-down", "The sign-in service has a problem", "You did nothing wrong. Please try again in a few minutes.", "sign-in");
const providerUnreachable = () =>
  new Problem("provider-unreachable", "The sign-in service cannot be reached", "Check that you are online, and try again.", "sign-in");
const failed = (reason: string) =>
  new Problem("failed", "The sign-in did not work", `Please try again. If this happens again, tell the people who run Acme Notes: ${reason}.`, "sign-in");

/** Errors that a provider sends the browser back with, or answers the exchange of the code with (RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core, 3.1.2.6). */
const answers: Record<string, () => Problem> = {
  access_denied: canceled,
  login_required: loginRequired,
  interaction_required: loginRequired,
  consent_required: loginRequired,
  account_selection_required: loginRequired,
  invalid_grant: expired,
  server_error: providerDown,
  temporarily_unavailable: providerDown,
};

/** Says what an error of oidc-client-ts means. */
export function providerProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ErrorResponse) {
    const code = error.error ?? "";
    // The code comes from the address, which anybody can make up: show it only if it looks like one.
    return answers[code]?.() ?? failed(/^[a-z_]{1,40}$/.test(code) ? code : "unknown error");
  }
  if (error instanceof ErrorTimeout || error instanceof TypeError) return providerUnreachable();
  const message = error instanceof Error ? error.message : "";
  if (/^No (matching )?state/.test(message)) return expired();
  // A body that is not JSON, or a status that is no success: a server in front of the provider has answered.
  if (/Content-Type|\(\d{3}\)/.test(message)) return providerDown();
  return failed("the answer was not valid");
}

/** Says what an error of our own API means, in the step in which it happened. */
export function apiProblem(error: unknown, step: "sign-in" | "sign-out" | "load" | "save"): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Unreachable) {
    const text = {
      "sign-in": "Your code was right, but the sign-in is not complete. Check that you are online, and try again.",
      "sign-out": "You are still signed in. Check that you are online, and try again.",
      load: "Check that you are online, and try again.",
      save: "Nothing was changed. Check that you are online, and try again.",
    }[step];
    return new Problem("api-unreachable", "Acme Notes cannot be reached", text, "retry");
  }
  if (error instanceof Refused && error.status === 401) {
    return step === "sign-in"
      ? new Problem("refused", "Acme Notes did not accept the sign-in", "It may have come too late. Please sign in again.", "sign-in")
      : new Problem("ended", "Your session has ended", "Please sign in again. What you typed is kept.", "sign-in");
  }
  return new Problem("api-down", "Acme Notes has a problem", "You did nothing wrong. Please try again in a few minutes.", "retry");
}

/** The longest title and text of a note, in characters. The API has the same limits. */
export const longest: Record<keyof Draft, number> = { title: 80, text: 1000 };

/** The sentence for a fault of a field. */
export function faultText(field: keyof Draft, fault: Fault): string {
  const name = field === "title" ? "title" : "text";
  switch (fault) {
    case "missing":
      return `Enter a ${name}.`;
    case "too_long":
      return `Use ${longest[field]} characters or fewer for the ${name}.`;
    case "taken":
      return "You have a note with this title. Choose another title.";
    case "too_many":
      return "You have 50 notes, and more do not fit. Delete one first.";
  }
}

const means: Record<string, string> = { otp: "a code", sms: "by SMS", tel: "by a call", mfa: "two different factors", pwd: "a password" };

/** How a person signed in, in words: amr is a list of the methods (RFC 8176). */
export function howText(amr: string[] = []): string {
  return amr.map((method) => means[method] ?? method).join(", ") || "not said";
}

/** How many factors that were, in words. */
export function strengthText(acr = ""): string {
  return { "urn:twofa:acr:1": "one factor", "urn:twofa:acr:2": "two factors" }[acr] ?? (acr || "not said");
}
