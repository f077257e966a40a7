// A client made of oauth4webapi, which checks every answer strictly: finds the server, registers, signs in, refreshes, introspects
// and revokes. Asserts nothing itself: what the library does not accept ends the program.
//
//   node strict.mjs <MCP URL> <redirect URI> <client_secret_basic | client_secret_post>
//
// stdout: {"authorize": URL} when a browser should open, then {"report": …}
// stdin:  the callback URL to which the browser was sent, as JSON

import { once } from "node:events";
import { createInterface } from "node:readline";

import * as oauth from "oauth4webapi";

const [mcpUrl, redirectUri, method] = process.argv.slice(2);
const METHODS = { client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost };
const plainHttp = { [oauth.allowInsecureRequests]: true }; // the server under test is on this machine
const lines = createInterface({ input: process.stdin });
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

async function discover() {
  const url = new URL(mcpUrl);
  const resource = await oauth.processResourceDiscoveryResponse(url, await oauth.resourceDiscoveryRequest(url, plainHttp));
  const issuer = new URL(resource.authorization_servers[0]);
  const answer = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...plainHttp });
  return oauth.processDiscoveryResponse(issuer, answer);
}

async function register(server) {
  const metadata = { client_name: "oauth4webapi", redirect_uris: [redirectUri], token_endpoint_auth_method: method };
  const answer = await oauth.dynamicClientRegistrationRequest(server, metadata, plainHttp);
  return oauth.processDynamicClientRegistrationResponse(answer);
}

async function signIn(server, client, proof) {
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  const asked = {
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: redirectUri,
    scope: "mcp",
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource: mcpUrl,
  };
  tell({ authorize: `${server.authorization_endpoint}?${new URLSearchParams(asked)}` });
  const [line] = await once(lines, "line");
  const callback = oauth.validateAuthResponse(server, client, new URL(JSON.parse(line)), state);
  const options = { additionalParameters: { resource: mcpUrl }, ...plainHttp };
  const answer = await oauth.authorizationCodeGrantRequest(server, client, proof, callback, redirectUri, verifier, options);
  return oauth.processAuthorizationCodeResponse(server, client, answer);
}

async function refresh(server, client, proof, token) {
  const answer = await oauth.refreshTokenGrantRequest(server, client, proof, token, plainHttp);
  return oauth.processRefreshTokenResponse(server, client, answer);
}

async function introspect(server, client, proof, token) {
  const answer = await oauth.introspectionRequest(server, client, proof, token, plainHttp);
  return oauth.processIntrospectionResponse(server, client, answer);
}

async function use(token) {
  const headers = new Headers({ "content-type": "application/json", accept: "application/json, text/event-stream" });
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
  const answer = await oauth.protectedResourceRequest(token, "POST", new URL(mcpUrl), headers, body, plainHttp);
  return answer.json();
}

// What the library throws at a refusal: the challenge of a 401, or the error of an answer.
async function refusal(attempt) {
  try {
    return { accepted: await attempt() };
  } catch (error) {
    return error.cause?.[0]?.parameters?.error ?? error.error ?? String(error);
  }
}

const server = await discover();
const client = await register(server);
const proof = METHODS[method](client.client_secret);
const first = await signIn(server, client, proof);
const second = await refresh(server, client, proof, first.refresh_token);
const report = {
  method: client.token_endpoint_auth_method,
  first: await introspect(server, client, proof, first.access_token),
  rotated: first.refresh_token !== second.refresh_token,
  before: await introspect(server, client, proof, second.access_token),
  used: await use(second.access_token),
};
await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, second.refresh_token, plainHttp));
report.after = await introspect(server, client, proof, second.access_token);
report.call = await refusal(() => use(second.access_token));
report.refresh = await refusal(() => refresh(server, client, proof, second.refresh_token));
tell({ report });
lines.close();
