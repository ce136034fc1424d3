import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { isLong, needs } from "@tessera/testkit";
import { hasRegistry } from "./consumer.mjs";
import { dockerfile, lint, runSteps } from "./docker.mjs";

const folder = mkdtempSync(join(tmpdir(), "tessera-docker-"));
afterAll(() => rmSync(folder, { recursive: true }));
const written = (text: string): string => {
  const path = join(folder, "Dockerfile");
  writeFileSync(path, text);
  return path;
};

describe("the Dockerfile of the docs", () => {
  it("has no finding of a linter, which finds what is wrong in another one", () => {
    expect(lint(dockerfile)).toBe("");
    const bad = lint(written("FROM node:latest\nRUN sudo apt-get install vim\nCMD node x\n"));
    for (const rule of ["EF0003", "ER0004", "EJ0002"]) expect(bad).toContain(rule);
  });

  it("is run step by step, and a step that is not known, fails or copies nothing is an error", async () => {
    const steps = (text: string) => runSteps({ file: written(`FROM node:24-bookworm-slim\nWORKDIR /a\n${text}\n`) });
    await expect(steps("VOLUME /data")).rejects.toThrow("VOLUME");
    await expect(steps("RUN exit 3")).rejects.toThrow("RUN exit 3 failed");
    await expect(steps("COPY nowhere .")).rejects.toThrow("COPY nowhere");
    await expect(steps('COPY LICENSE .\nRUN test -s LICENSE\nCMD ["node", "-e", "process.exit(1)"]')).rejects.toThrow(
      "does not answer",
    );
    await expect(runSteps({ file: written("FROM node:20\n") })).rejects.toThrow("node:20");
  });

  needs(isLong, "it installs and builds everything: npm run test:long")(
    "makes a service that answers, and ends with SIGTERM",
    async () => {
      if (!hasRegistry()) throw new Error("no package registry is reached");
      await runSteps();
    },
  );
});
