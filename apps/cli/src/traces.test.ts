import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { flow, use } from "@tessera/core";
import { createTessera } from "@tessera/tessera";
import { ended, root, start, tessera } from "./program.fixture.js";
import { openTraces, type Traces } from "./traces.js";

const main = join(root, "apps/cli/src/main.ts");
const work = mkdtempSync(join(tmpdir(), "tessera-traces-"));
const secret = "every wait is twice the one before";

interface Sent {
  readonly path: string | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}
let sent: Sent[] = [];
/** An OTLP receiver over HTTP. */
const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  sent.push({ path: request.url, headers: request.headers, body });
  response.setHeader("content-type", "application/json").end("{}");
});
let endpoint: string;

beforeAll(async () => {
  mkdirSync(join(work, "code"));
  writeFileSync(join(work, "code/retry.js"), `/** Retries are backed off: ${secret}. */\nexport const delay = 1;\n`);
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  endpoint = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
beforeEach(() => {
  sent = [];
});
afterAll(() => {
  receiver.close();
  rmSync(work, { recursive: true, force: true });
});

/** Serves, runs the flow "hybrid" once, ends, and gives what the receiver got. */
async function trace(given: readonly string[], env: object = {}): Promise<Sent[]> {
  const settings = { cwd: work, env: { TESSERA_HOME: join(work, "home"), ...env } };
  const child = start(main, ["serve", "--source", "code", "--port", "0", ...given], settings);
  const ending = ended(child);
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.on("data", (text: string) => {
      said += text;
      const found = /^http:\S+/m.exec(said);
      if (found && said.includes("flows:")) resolve(found[0]);
    });
    void ending.then(({ err }) => reject(new Error(err)));
  });
  const made = await tessera(["keys", "create", "k", "--principal", "ann-the-asker", "--json"], work, settings.env);
  const { token } = JSON.parse(made.out);
  const response = await fetch(`${url}/flows/hybrid/runs`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ input: { query: "how are retries backed off?" } }),
  });
  expect(await response.json()).toMatchObject({ status: "done" });
  child.kill("SIGTERM");
  expect((await ending).code).toBe(0);
  expect(sent.map(({ body }) => body).join()).not.toMatch(/ann-the-asker|tsr_/);
  return sent;
}

const spansOf = (bodies: readonly Sent[]) =>
  bodies.flatMap(({ body }) =>
    JSON.parse(body).resourceSpans.flatMap(
      ({ scopeSpans }: { scopeSpans: { spans: { name: string; parentSpanId?: string }[] }[] }) =>
        scopeSpans.flatMap(({ spans }) => spans),
    ),
  );

/** Runs a flow under the traces, and closes both. */
async function runOnce({ observer, close }: Traces): Promise<void> {
  const { document } = flow("ask", { query: "text" }, (f, { query }) => ({
    text: f.node("say", use("text.template", { template: "{query}" }), { query }).text!,
  }));
  const ready = createTessera({ flows: { ask: document }, observer });
  await ready.run("ask", { query: "a question" });
  await ready.close();
  await close();
}

describe("tessera serve --otlp", () => {
  it("sends every run to an OTLP receiver, without its texts", async () => {
    const got = await trace([], {
      OTEL_EXPORTER_OTLP_ENDPOINT: `${endpoint}/`,
      OTEL_SERVICE_NAME: "search",
      OTEL_EXPORTER_OTLP_HEADERS: "tenant=a",
    });
    expect(new Set(got.map(({ path, headers }) => `${path} ${headers.tenant}`))).toEqual(new Set(["/v1/traces a"]));
    const spans = spansOf(got);
    const names = spans.map(({ name }: { name: string }) => name);
    expect(names).toEqual(
      expect.arrayContaining([expect.stringContaining("hybrid"), expect.stringContaining("retrieval")]),
    );
    expect(spans.filter(({ parentSpanId }: { parentSpanId?: string }) => !parentSpanId)).toHaveLength(1);
    expect(got[0]!.body).toContain('{"key":"service.name","value":{"stringValue":"search"}}');
    for (const { body } of got) expect(body).not.toMatch(new RegExp(`${secret}|how are retries`));
  });

  it("sends texts where they are asked for, and to a place for traces as it is", async () => {
    for (const content of [false, true]) {
      sent = [];
      const traces = await openTraces(`${endpoint}/v1/traces`, { content });
      await runOnce(traces);
      expect(sent.map(({ path }) => path)).toEqual(["/v1/traces"]);
      expect(sent[0]!.body.includes("a question")).toBe(content);
    }
  });

  it("ends in time where nobody receives; what is no URL of one is refused", async () => {
    await runOnce(await openTraces("http://127.0.0.1:9"));
    for (const endpoint of ["collector", "grpc://127.0.0.1:4317", ""])
      await expect(openTraces(endpoint)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });
});
