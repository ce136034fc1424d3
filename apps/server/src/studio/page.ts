import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { FastifyInstance, FastifyReply } from "fastify";
import { z } from "zod";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** What a page of this service may load: its own files, and styles that bear the nonce of the answer. */
const contentPolicy = (nonce: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");

function sendPage(reply: FastifyReply, html: (nonce: string) => string): FastifyReply {
  const nonce = randomBytes(16).toString("base64");
  return reply
    .header("content-security-policy", contentPolicy(nonce))
    .header("x-content-type-options", "nosniff")
    .header("referrer-policy", "no-referrer")
    .header("cross-origin-opener-policy", "same-origin")
    .header("cache-control", "no-store")
    .type(types[".html"]!)
    .send(html(nonce));
}

const asset = z.object({ file: z.string().regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$/) });

/** The built page under `/studio/`. Its scripts, styles and pictures have the hash of their content in their names. */
export function pageRoutes(server: FastifyInstance, folder: string): void {
  server.get("/studio", { config: { scope: "open", summary: "the studio" } }, (_, reply) =>
    reply.redirect("/studio/", 308),
  );
  server.get("/studio/", { config: { scope: "open", summary: "the studio: a page" } }, async (_, reply) => {
    const html = await readFile(join(folder, "index.html"), "utf8").catch((cause) => {
      throw new TesseraError("DEPENDENCY_MISSING", "the studio is not built", {
        path: folder,
        hint: "in a checkout: npm run setup",
        cause,
      });
    });
    return sendPage(reply, (nonce) => html.replaceAll("__NONCE__", nonce));
  });
  server.get<{ Params: z.infer<typeof asset> }>(
    "/studio/assets/:file",
    { schema: { params: asset }, config: { scope: "open", summary: "a file of the studio's page" } },
    async ({ params: { file } }, reply) => {
      const type = types[extname(file)];
      const bytes = type && (await readFile(join(folder, "assets", file)).catch(() => undefined));
      if (!bytes) throw new TesseraError("NOT_FOUND", "the studio has no such file", { path: file });
      return reply
        .header("cache-control", "public, max-age=31536000, immutable")
        .header("x-content-type-options", "nosniff")
        .type(type)
        .send(bytes);
    },
  );
}

const entries = [
  ["/openapi.json", "every route, as OpenAPI"],
  ["/healthz", "whether the process answers"],
  ["/readyz", "whether flows can run"],
] as const;

const welcome = (nonce: string) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tessera</title>
<style nonce="${nonce}">:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1.5rem}code{font-size:.9em}</style>
</head><body><main><h1>Tessera</h1><p>This is the HTTP service. Its routes need a key: <code>tessera keys create &lt;name&gt;</code> makes one.</p>
<ul>${entries.map(([path, what]) => `<li><a href="${path}">${path}</a>: ${what}</li>`).join("")}</ul>
<p>To look at flows and runs in the browser, start the service with <code>tessera serve --studio</code>.</p></main></body></html>
`;

/** `GET /`: leads a browser to the studio, or says what this service is. */
export function welcomeRoute(server: FastifyInstance, hasStudio: boolean): void {
  server.get("/", { config: { scope: "open", summary: "what this service is" } }, (request, reply) => {
    if (!String(request.headers.accept ?? "").includes("text/html"))
      return {
        name: "Tessera",
        about: "flows as JSON, as streams, as models and as tools",
        routes: Object.fromEntries(entries),
        ...(hasStudio && { studio: "/studio/" }),
      };
    return hasStudio ? reply.redirect("/studio/", 302) : sendPage(reply, welcome);
  });
}
