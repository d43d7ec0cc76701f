// Signs a person in as an app would that uses openid-client. The tests let it judge our OpenID
// Connect provider.
//
//   node oidc-client.mjs ISSUER CLIENT-ID CLIENT-SECRET AUTH RESPONSE-MODE REDIRECT-URI SCOPE
//
// AUTH is client_secret_basic, client_secret_post or none, RESPONSE-MODE is query or form_post. It
// listens at the redirect URI, which has to be on loopback, prints the address at which the person
// begins, and waits for the person to come back. Then it prints what it got in one line of JSON. It
// serves until its input is closed, so that the person comes back from the logout, too, to /bye. A
// provider that it does not believe is an error.
import http from "node:http";
import * as oidc from "openid-client";

const [issuer, id, secret, auth, mode, redirect, scope] = process.argv.slice(2);
process.stdin.on("end", () => process.exit()).resume();

const methods = { client_secret_basic: oidc.ClientSecretBasic, client_secret_post: oidc.ClientSecretPost, none: oidc.None };
const loopback = { execute: [oidc.allowInsecureRequests] };
const app = await oidc.discovery(new URL(issuer), id, undefined, methods[auth](secret), loopback);
oidc.enableNonRepudiationChecks(app); // checks the signature, though the ID token comes from the provider itself

const verifier = oidc.randomPKCECodeVerifier(), state = oidc.randomState(), nonce = oidc.randomNonce();
const back = comesBack(redirect);
console.log(oidc.buildAuthorizationUrl(app, {
  redirect_uri: redirect, scope, state, nonce, response_mode: mode,
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
}).href);

const tokens = await oidc.authorizationCodeGrant(app, await back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
const claims = tokens.claims();
console.log(JSON.stringify({
  id_token: claims,
  userinfo: await oidc.fetchUserInfo(app, tokens.access_token, claims.sub),
  scope: tokens.scope,
  refresh_token: tokens.refresh_token,
  refresh: await refusal(oidc.refreshTokenGrant(app, "none")),
  logout: oidc.buildEndSessionUrl(app, { id_token_hint: tokens.id_token, post_logout_redirect_uri: new URL("/bye", redirect).href, state }).href,
  state,
}));

// comesBack waits for the person at the redirect URI, and gives the request that brought the
// person back.
function comesBack(redirect) {
  const at = new URL(redirect);
  return new Promise((resolve) => {
    http.createServer(async (req, res) => {
      const url = new URL(req.url, redirect);
      let body = "";
      for await (const chunk of req) body += chunk;
      res.end("You are back at the app.");
      if (url.pathname !== at.pathname) return;
      const posted = { method: "POST", headers: { "content-type": req.headers["content-type"] }, body };
      resolve(new Request(url, req.method === "POST" ? posted : {}));
    }).listen(at.port, at.hostname);
  });
}

// refusal is the code of an OAuth error.
async function refusal(call) {
  try {
    await call;
    return "";
  } catch (e) {
    return e.error ?? String(e);
  }
}
