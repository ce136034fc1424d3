import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";

const place = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));
const read = (path: string): string => readFileSync(place(path), "utf8");

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface Container extends Record<"startupProbe" | "readinessProbe" | "livenessProbe", Probe> {
  readonly image: string;
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

describe("the files for a deployment", () => {
  const program = read("docs/examples/deploy/models.mjs");
  const dockerfile = read("docs/examples/deploy/Dockerfile");
  const documents = parseAllDocuments(read("docs/examples/deploy/kubernetes.yaml"));
  const manifests = documents.map((document) => document.toJS() as Manifest);
  const specOf = <T>(kind: string): T => manifests.find((one) => one.kind === kind)!.spec as T;
  const { template, selector } = specOf<{
    template: { metadata: { labels: object }; spec: { containers: Container[] } };
    selector: { matchLabels: object };
  }>("Deployment");
  const [container] = template.spec.containers as [Container];

  it("are sound YAML, of the kinds that are wanted", () => {
    expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
    expect(manifests.map(({ kind }) => kind)).toEqual([
      "Deployment",
      "Service",
      "HorizontalPodAutoscaler",
      "PodDisruptionBudget",
    ]);
  });

  it("mean the same pods, ports and addresses", () => {
    const { labels } = template.metadata;
    expect(selector.matchLabels).toEqual(labels);
    expect(specOf<{ selector: object }>("Service").selector).toEqual(labels);
    expect(specOf<{ selector: { matchLabels: object } }>("PodDisruptionBudget").selector.matchLabels).toEqual(labels);
    const { scaleTargetRef } = specOf<{ scaleTargetRef: { name: string } }>("HorizontalPodAutoscaler");
    expect(scaleTargetRef.name).toBe(manifests[0]!.metadata.name);
    const [port] = container.ports as [Container["ports"][number]];
    expect(specOf<{ ports: { targetPort: string }[] }>("Service").ports[0]!.targetPort).toBe(port.name);
    expect(dockerfile).toContain(`EXPOSE ${port.containerPort}\n`);
    expect(dockerfile).toContain(`PORT=${port.containerPort}\n`);
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"] as const) {
      expect(container[probe].httpGet.port).toBe(port.name);
      expect(program).toContain(`app.get("${container[probe].httpGet.path}"`);
    }
  });

  it("copy only what is there, and start the program that they copied", () => {
    const copies = [...dockerfile.matchAll(/^COPY (?!--from)(.+) (\S+)$/gm)];
    expect(copies.length).toBeGreaterThan(2);
    for (const [, sources] of copies)
      for (const source of sources!.split(" "))
        expect({ source, there: existsSync(place(source)) }).toEqual({ source, there: true });
    const started = /^CMD \["node", "(.+)"\]$/m.exec(dockerfile)![1]!;
    expect(copies.map(([, , target]) => target)).toContain(started);
    expect(dockerfile).toContain(`pnpm@${/pnpm@([\d.]+)/.exec(read("package.json"))![1]}\n`);
  });
});

describe("the program of a deployment", () => {
  let child: ChildProcess | undefined;
  afterEach(() => {
    child?.kill("SIGKILL");
  });

  it("serves both models, says which engine computes them, and ends when it is told to", async () => {
    // where the image has it: beside the packages that it imports
    const copy = place("apps/server/.test/models.mjs");
    mkdirSync(place("apps/server/.test"), { recursive: true });
    copyFileSync(place("docs/examples/deploy/models.mjs"), copy);
    child = spawn(
      process.execPath,
      ["--conditions=@tessera/source", `--import=${place("apps/setup/sources.mjs")}`, copy],
      { env: { ...process.env, PORT: "0", TESSERA_ENGINE: "cpu" }, stdio: ["ignore", "pipe", "inherit"] },
    );
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout! })) {
      said.push(line);
      if (line.startsWith("http")) break;
    }
    expect(said[0]).toMatch(/^engine cpu: /);
    const url = said.at(-1)!;
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });
    const ask = async (path: string, body: object) =>
      (
        await fetch(`${url}/v1/${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        })
      ).json() as Promise<Record<string, unknown[]>>;
    const vectors = await ask("embeddings", {
      model: "code-encoder-2",
      input: ["sort a list"],
      dimensions: 128,
      exit: 4,
    });
    expect(vectors.data).toEqual([{ object: "embedding", index: 0, embedding: expect.any(Array) }]);
    const chat = { model: "code-language-model", messages: [{ role: "user", content: "Hello" }], max_tokens: 3 };
    expect((await ask("chat/completions", chat)).choices).toHaveLength(1);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain(
      'tessera_language_model_generated_total{model="code-language-model"} 3',
    );
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});
