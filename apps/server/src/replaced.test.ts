import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, flow } from "@tessera/core";
import { openFolder } from "./backend.js";
import { echo, flows, freshFolder, operators, ran, release, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

const principal = { id: "ann" };

describe("a run whose flow is replaced while it is interrupted (E-25)", () => {
  const other = flow("hold", { query: "text" }, (f, input) => ({ text: f.node("other", echo(), input).text })).document;
  const ends: FlowDocument = flow("hold", { query: "text" }, (f, input) => {
    const said = f.node("said", echo(), input);
    return { text: f.node("more", echo(), { query: said.text }).text };
  }).document;

  it.each([
    ["by resume", (runs: Runs, id: string) => runs.resume(id)],
    ["by the same request again", (runs: Runs, id: string) => runs.start({ ...request, id })],
  ])("ends on the document that it began with, %s", async (_, goOn) => {
    let backend = await openFolder(folder, { flows, operators });
    await backend.runs.start({ ...request, id: "r" });
    while (Object.keys(await backend.runs.records("r")).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 2));
    await backend.runs.close(0);
    await backend.close();
    for (const document of [other, ends]) {
      ran.length = 0;
      backend = await openFolder(folder, { flows: { ...flows, hold: document }, operators });
      expect((await backend.runs.get("r"))?.status).toBe("interrupted");
      await goOn(backend.runs, "r");
      expect((await backend.runs.get("r"))?.status).toBe("running");
      expect(ran).toEqual([]);
      if (document === other) await backend.runs.close(0);
      else {
        // it waits in the node "wait", which the new flows do not have
        const letGo = setInterval(release, 2);
        expect(await backend.runs.settled("r")).toMatchObject({ status: "done", output: { text: "said q to ann" } });
        clearInterval(letGo);
      }
      await backend.close();
    }
  });
});

const request = { flow: "hold", input: { query: "q" }, principal };
type Runs = Awaited<ReturnType<typeof openFolder>>["runs"];
