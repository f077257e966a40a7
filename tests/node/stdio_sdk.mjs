// An MCP server of the TypeScript SDK, over stdio. Run as a script.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const server = new McpServer({ name: "node", version: "1.0.0" });
server.registerTool("add", { description: "Add two numbers.", inputSchema: { a: z.number(), b: z.number() } }, async ({ a, b }) => ({
  content: [{ type: "text", text: String(a + b) }],
}));
server.registerTool("where", { description: "Where it runs." }, async () => ({
  content: [{ type: "text", text: [process.cwd(), process.env.HOME, (await import("node:os")).tmpdir()].join(" ") }],
}));
await server.connect(new StdioServerTransport());
