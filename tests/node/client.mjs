// An assistant made of the official TypeScript SDK: signs in, uses a tool and a resource, outlives its token. Asserts nothing.
//
//   node client.mjs <sdk: v1 | v2> <mode: legacy | auto> <MCP URL> <redirect URI> <a word>
//
// stdout: {"authorize": URL} when a browser should open, then {"report": …} or {"refused": name of the error}
// stdin:  the callback URL to which the browser was sent, as JSON

import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

// The two generations of the SDK: how each is loaded, is told its mode, takes the callback and names the version it speaks.
const SDKS = {
  v1: {
    load: async () => ({
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
    }),
    options: () => ({}),
    finish: (transport, callback) => transport.finishAuth(callback.searchParams.get("code")),
    version: (client, transport) => transport.protocolVersion,
  },
  v2: {
    load: () => import("@modelcontextprotocol/client"),
    options: (mode) => ({ versionNegotiation: { mode } }),
    finish: (transport, callback) => transport.finishAuth(callback.searchParams), // checks iss (RFC 9207 §2.4)
    version: (client) => client.getNegotiatedProtocolVersion(),
  },
};

const [generation, mode, url, redirectUrl, word] = process.argv.slice(2);
const sdk = SDKS[generation];
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await sdk.load();
const lines = createInterface({ input: process.stdin });
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const kept = { authorizations: 0, tokenAnswers: 0 };

const authProvider = {
  redirectUrl,
  clientMetadata: { client_name: `TypeScript ${generation}`, redirect_uris: [redirectUrl] },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => void (kept.discovery = discovery),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => {
    kept.tokens = tokens;
    kept.tokenAnswers += 1;
    kept.expiresAt = Date.now() + tokens.expires_in * 1000;
  },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  redirectToAuthorization: (authorizationUrl) => {
    kept.authorizations += 1;
    tell({ authorize: authorizationUrl.href });
  },
};

async function connect() {
  const client = new Client({ name: `typescript-${generation}`, version: "1.0.0" }, sdk.options(mode));
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || kept.tokens) throw error;
    const [line] = await once(lines, "line");
    await sdk.finish(transport, new URL(JSON.parse(line)));
    return connect();
  }
  return { client, transport };
}

async function use({ client, transport }) {
  const { tools } = await client.listTools();
  const set = await client.callTool({ name: "status_set_work", arguments: { workStatus: word } });
  const { contents } = await client.readResource({ uri: "personal-context://status/today" });
  const before = kept.tokenAnswers;
  await pause(kept.expiresAt - Date.now() + 100);
  const get = await client.callTool({ name: "status_get_work", arguments: {} });
  return {
    version: sdk.version(client, transport),
    tools: tools.map((tool) => tool.name),
    set: set.structuredContent,
    contents,
    get: get.structuredContent,
    authorizations: kept.authorizations,
    refreshes: kept.tokenAnswers - before,
  };
}

try {
  const connection = await connect();
  tell({ report: await use(connection) });
  await connection.client.close();
} catch (error) {
  console.error(error);
  tell({ refused: error.name });
}
lines.close();
