import { describe, expect, it } from "@jest/globals";
import { httpLoad, postRequest } from "./measure/http-load.js";
import { systems } from "./service-shipped.js";

// E-13 of the fault book: what was measured had no records, runs and budgets. (How many syncs a run of what ships costs is a
// test of the server's log, and a row of this bench.)
describe("the bench of the service as shipped", () => {
  it.each(["on a folder", "in memory"] as const)(
    "measures runs with keys, limits, states and events: %s",
    async (name) => {
      const system = await systems[name]();
      try {
        const { port, token } = system.address();
        const url = `http://127.0.0.1:${port}`;
        await httpLoad({
          port,
          clients: 32,
          requests: 64,
          request: postRequest("/flows/echo/runs", JSON.stringify({ input: { query: "where?" } }), {
            authorization: `Bearer ${token}`,
          }),
          isRight: (status, body) => status === 200 && JSON.parse(body).output.text === "where?",
        });
        expect((await fetch(`${url}/flows/echo/runs`, { method: "POST" })).status).toBe(401);
        const headers = { authorization: `Bearer ${token}` };
        const { runs } = (await (await fetch(`${url}/runs?limit=1`, { headers })).json()) as { runs: { id: string }[] };
        const run = (await (await fetch(`${url}/runs/${runs[0]!.id}`, { headers })).json()) as {
          status: string;
          budget: object;
          events: { type: string }[];
          records: Record<string, string>;
        };
        expect(run).toMatchObject({ status: "done", budget: { calls: 0, tokens: 0 } });
        expect(run.events.map(({ type }) => type)).toEqual(["flow-start", "node-start", "node-end", "flow-end"]);
        // records outlive the process: they are kept where there is a folder
        expect(Object.keys(run.records)).toEqual(name === "on a folder" ? ["echo/echo"] : []);
      } finally {
        await system.close();
      }
    },
  );
});
