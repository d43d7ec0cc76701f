// The calls of the API behind the page: api/ has the other side. The session is a cookie that scripts
// cannot read, so no call has a token but the one that signs in.

/** What the API needs the page to know. */
export interface Config {
  /** The issuer of the provider, as its discovery document has it. */
  issuer: string;
  client_id: string;
}

/** Who is signed in: the claims of the ID token that the API has checked. */
export interface Person {
  sub: string;
  name?: string;
  preferred_username?: string;
  phone_number?: string;
  phone_number_verified?: boolean;
  email?: string;
  email_verified?: boolean;
  /** When the person proved who they are, in seconds since 1970. */
  auth_time?: number;
  amr?: string[];
  acr?: string;
}

export interface Note {
  id: string;
  title: string;
  text: string;
  /** RFC 3339. */
  made_at: string;
}

/** A note that is not saved. */
export type Draft = Pick<Note, "title" | "text">;
export const empty: Draft = { title: "", text: "" };

/** Why a field of a note is refused. The words for it are in words.ts. */
export type Fault = "missing" | "too_long" | "taken" | "too_many";
export type Faults = { [field in keyof Draft]?: Fault };

/** The API did not answer: there is no connection, or it does not run. */
export class Unreachable extends Error {}

/** The API answered with a status that is no success. */
export class Refused extends Error {
  constructor(readonly status: number) {
    super(`the API answered ${status}`);
  }
}

/** The API refuses fields of a form. */
export class Invalid extends Error {
  constructor(readonly faults: Faults) {
    super("the API refuses fields");
  }
}

/** How long a call may take, in milliseconds. */
const timeout = 15_000;

async function call(method: string, path: string, options: { token?: string; body?: unknown } = {}): Promise<unknown> {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers["Authorization"] = `Bearer ${options.token}`;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: AbortSignal.timeout(timeout),
    });
    text = await response.text();
  } catch {
    throw new Unreachable(`${method} ${path}`);
  }
  if (response.status === 422) throw new Invalid((JSON.parse(text) as { faults: Faults }).faults);
  if (!response.ok) throw new Refused(response.status);
  return text === "" ? undefined : JSON.parse(text);
}

export const api = {
  config: async () => (await call("GET", "/api/config")) as Config,

  /** Who is signed in, null for nobody. */
  session: async () => ((await call("GET", "/api/session")) as { person: Person | null }).person,

  /** Hands the ID token over, once. From then on the cookie of the answer counts. */
  signIn: async (token: string) => ((await call("POST", "/api/session", { token })) as { person: Person }).person,

  /** Ends the session. The answer has the ID token with which it began: it is the hint of the sign-out at the provider. */
  signOut: async () => ((await call("DELETE", "/api/session")) as { id_token?: string }).id_token,

  notes: async () => ((await call("GET", "/api/notes")) as { notes: Note[] }).notes,
  addNote: async (draft: Draft) => (await call("POST", "/api/notes", { body: draft })) as Note,
  deleteNote: async (id: string) => void (await call("DELETE", `/api/notes/${encodeURIComponent(id)}`)),
};

export type Api = typeof api;
