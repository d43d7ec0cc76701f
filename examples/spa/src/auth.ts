// Sign-in with OpenID Connect, by oidc-client-ts.
import { InMemoryWebStorage, UserManager, WebStorageStateStore } from "oidc-client-ts";
import type { Api, Config, Draft, Person } from "./api";
import { apiProblem, Problem, providerProblem } from "./words";

/** What the page wants back after the sign-in. It stays in the browser. */
export interface Return {
  /** The path to go on at. */
  to: string;
  /** What was typed and is not saved yet, and who has typed it: nobody else gets it back. */
  draft?: Draft;
  sub?: string;
}

/** What the page uses of the library. Tests have one of their own. */
export type Manager = Pick<UserManager, "signinRedirect" | "signinRedirectCallback" | "removeUser" | "signoutRedirect">;

export function newManager(config: Config): Manager {
  return new UserManager({
    authority: config.issuer,
    client_id: config.client_id,
    redirect_uri: `${location.origin}/callback`,
    post_logout_redirect_uri: `${location.origin}/signed-out`,
    scope: "openid profile phone email",
    // Tokens are in the memory of the page, and only until the API has the ID token.
    userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
    // State, nonce and PKCE verifier of a sign-in that is under way. They are no tokens, and go when it ends. They
    // are in localStorage because the link in a mail opens a tab of its own: sessionStorage would be empty there.
    stateStore: new WebStorageStateStore({ store: localStorage }),
    // A later sign-in removes what is older. The provider's pages live 30 minutes.
    staleStateAgeInSeconds: 30 * 60,
    // The provider has no refresh tokens. The session of the API is what lasts.
    automaticSilentRenew: false,
    // The ID token has all claims.
    loadUserInfo: false,
    requestTimeoutInSeconds: 15,
  });
}

/** Leaves the page for the sign-in, or for the sign-up if `create` is true. It throws a Problem if that is not possible. */
export async function begin(manager: Manager, back: Return, create = false): Promise<void> {
  try {
    await manager.signinRedirect({
      state: back,
      nonce: crypto.randomUUID(), // the library compares it with the one in the ID token
      // OpenID Connect Initiating User Registration 1.0. A provider that does not know the value shows its sign-in.
      ...(create && { extraQueryParams: { prompt: "create" } }),
    });
  } catch (error) {
    throw providerProblem(error);
  }
}

/** Ends a sign-in: takes the address that the browser came back with, and gives the ID token. It throws a Problem. */
export async function receive(manager: Manager, address: string): Promise<{ token: string; back: Return }> {
  try {
    const user = await manager.signinRedirectCallback(address);
    await manager.removeUser();
    if (!user.id_token) throw new Error("no ID token");
    return { token: user.id_token, back: (user.state as Return | undefined) ?? { to: "/notes" } };
  } catch (error) {
    throw providerProblem(error);
  }
}

/** Hands the ID token to the API. It throws a Problem. */
export async function handOver(api: Api, token: string): Promise<Person> {
  try {
    return await api.signIn(token);
  } catch (error) {
    throw apiProblem(error, "sign-in");
  }
}

/** Ends the session of the API, and then leaves the page for the sign-out of the provider. It throws a Problem. */
export async function end(api: Api, manager: Manager, ended: () => void): Promise<void> {
  let token: string | undefined;
  try {
    token = await api.signOut();
  } catch (error) {
    throw apiProblem(error, "sign-out");
  }
  ended();
  try {
    // Without the hint, the provider asks the person first.
    await manager.signoutRedirect(token ? { id_token_hint: token } : {});
  } catch {
    throw new Problem("still-in", "You are signed out of Acme Notes, but not of the sign-in service", "It cannot be reached. On a device of other people, sign out there later.", "home");
  }
}
