import { fileURLToPath } from "node:url";
import { expect, it } from "@jest/globals";
import * as core from "@tessera/core";
import * as tessera from "@tessera/tessera";
import { ownFrames, stackOfWork } from "./frames.js";

it("between Tessera.run and an operator's work stand at most six functions of the engine", async () => {
  const frames = ownFrames(
    await stackOfWork({ core, tessera }),
    fileURLToPath(new URL("../../../../", import.meta.url)),
  );
  expect(frames.length).toBeGreaterThan(3);
  expect(frames.slice(6)).toEqual([]);
});

it("counts what is in the folder, and neither the operator, nor run itself, nor Node, nor dependencies", () => {
  const stack = [
    "    at takeStack (file:///repo/apps/bench/frames.js:1:2)",
    "    at Step.work (file:///repo/packages/graph/dist/step.js:3:4)",
    "    at AsyncLocalStorage.run (node:internal/async_local_storage/async_context_frame:5:6)",
    "    at emit (/repo/node_modules/.pnpm/x/index.js:7:8)",
    "    at file:///repo/packages/graph/dist/step.js:9:10",
    "    at other (/elsewhere/step.js:9:10)",
    "    at Tessera.run (file:///repo/packages/tessera/dist/create.js:11:12)",
    "    at file:///repo/apps/bench/frames.js:13:14",
  ];
  expect(ownFrames(stack, "/repo/")).toEqual([stack[1], stack[4]]);
});
