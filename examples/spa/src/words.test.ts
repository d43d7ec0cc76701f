import { ErrorResponse, ErrorTimeout } from "oidc-client-ts";
import { expect, test } from "vitest";
import { Invalid, Refused, Unreachable } from "./api";
import { apiProblem, faultText, howText, Problem, providerProblem, strengthText } from "./words";

const answered = (error: string) => new ErrorResponse({ error, error_description: "for developers" });

test.each([
  [answered("access_denied"), "You canceled the sign-in", "sign-in"],
  [answered("login_required"), "Please sign in again", "sign-in"],
  [answered("consent_required"), "Please sign in again", "sign-in"],
  [answered("invalid_grant"), "This sign-in is over", "sign-in"],
  [new Error("No matching state found in storage"), "This sign-in is over", "sign-in"],
  [new Error("No state in response"), "This sign-in is over", "sign-in"],
  [answered("server_error"), "The sign-in service has a problem", "sign-in"],
  [new Error("Bad Gateway (502)"), "The sign-in service has a problem", "sign-in"],
  [new Error("Invalid response Content-Type: text/html, from URL: x"), "The sign-in service has a problem", "sign-in"],
  [new TypeError("Failed to fetch"), "The sign-in service cannot be reached", "sign-in"],
  [new ErrorTimeout("Network timed out"), "The sign-in service cannot be reached", "sign-in"],
  [answered("invalid_request"), "The sign-in did not work", "sign-in"],
  [new Error("nonce in id_token does not match nonce in client storage"), "The sign-in did not work", "sign-in"],
  ["no error at all", "The sign-in did not work", "sign-in"],
])("%s at the provider: %s", (error, title, next) => {
  const problem = providerProblem(error);
  expect(problem.title).toBe(title);
  expect(problem.next).toBe(next);
  expect(problem.text).not.toContain("for developers");
});

test("the name of an unknown error is shown for the operator, but no other text of the address", () => {
  expect(providerProblem(answered("unauthorized_client")).text).toContain("unauthorized_client");
  expect(providerProblem(answered("Call +1 555 0100 now!")).text).not.toContain("555");
});

test.each([
  [new Unreachable(), "sign-in", "Acme Notes cannot be reached", "retry"],
  [new Unreachable(), "sign-out", "Acme Notes cannot be reached", "retry"],
  [new Refused(401), "sign-in", "Acme Notes did not accept the sign-in", "sign-in"],
  [new Refused(401), "save", "Your session has ended", "sign-in"],
  [new Refused(503), "sign-in", "Acme Notes has a problem", "retry"],
  [new SyntaxError("no JSON"), "load", "Acme Notes has a problem", "retry"],
] as const)("%s at the API (%s): %s", (error, step, title, next) => {
  const problem = apiProblem(error, step);
  expect(problem.title).toBe(title);
  expect(problem.next).toBe(next);
});

test("a problem stays what it is", () => {
  const problem = new Problem("x", "Title", "Text.", "home");
  expect(providerProblem(problem)).toBe(problem);
  expect(apiProblem(problem, "load")).toBe(problem);
});

test("every fault of a field has a sentence", () => {
  expect(faultText("title", "missing")).toBe("Enter a title.");
  expect(faultText("text", "too_long")).toBe("Use 1000 characters or fewer for the text.");
  expect(faultText("title", "taken")).toContain("another title");
  expect(faultText("title", "too_many")).toContain("Delete one");
  expect(new Invalid({ title: "taken" }).faults).toEqual({ title: "taken" });
});

test("how a person signed in", () => {
  expect(howText(["otp", "sms"])).toBe("a code, by SMS");
  expect(howText(["new_method"])).toBe("new_method");
  expect(howText()).toBe("not said");
  expect(strengthText("urn:twofa:acr:2")).toBe("two factors");
  expect(strengthText("other")).toBe("other");
  expect(strengthText()).toBe("not said");
});
