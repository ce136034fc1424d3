import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
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
