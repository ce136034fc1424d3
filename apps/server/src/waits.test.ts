import { describe, expect, it } from "@jest/globals";
import { hears } from "@tessera/testkit";
import { serviceForCallers } from "./service.fixture.js";

const asks = (name: string, config: object = {}) => ({
  version: 1,
  name,
  input: {},
  nodes: { ask: { run: "flow.wait", with: config, in: {} } },
  output: { answer: "ask.answer" },
});
const callers = {
  ann: { principal: { id: "ann" }, scopes: ["run", "flows"] },
  bob: { principal: { id: "bob", groups: ["editors"] }, scopes: ["run"] },
  eve: { principal: { id: "eve" }, scopes: ["run"] },
  ops: { principal: { id: "ops" }, scopes: ["run", "operate"] },
};
const { own, call } = serviceForCallers(callers, [
  asks("plain"),
  asks("edited", { who: { groups: ["editors"] } }),
  hears,
]);
const begin = async (flow: string): Promise<string> => {
  const run = await call("ann", "POST", `/flows/${flow}/runs`, { input: {} });
  expect(run).toMatchObject({ http: 200, status: "waiting" });
  return run.id;
};
const answer = (who: string, id: string, flow: string, value: unknown) =>
  call(who, "POST", `/runs/${id}/waits/${flow}%2Fask`, { answer: value });

describe("the waits of a service", () => {
  it("are answered by the owner of the run, by whom the wait names, and by who operates the service", async () => {
    const outcomes = async (flow: string) => {
      const found: Record<string, string> = {};
      for (const who of ["eve", "bob", "ops", "ann"]) {
        const { http, code, status } = await answer(who, await begin(flow), flow, null);
        found[who] = `${http} ${code ?? status}`;
      }
      return found;
    };
    // a run that a key may neither see nor answer does not exist for it
    const nothing = "404 NOT_FOUND";
    expect(await outcomes("plain")).toEqual({ eve: nothing, bob: nothing, ops: "200 done", ann: "200 done" });
    expect(await outcomes("edited")).toEqual({ eve: nothing, bob: "200 done", ops: "200 done", ann: "200 done" });
  });

  it("are listed for those who may answer them", async () => {
    const ids = { plain: await begin("plain"), edited: await begin("edited") };
    const listed = async (who: string) =>
      (await call(who, "GET", "/runs?state=waiting")).runs
        .map(({ id }: { id: string }) => id)
        .filter((id: string) => Object.values(ids).includes(id))
        .sort();
    const both = Object.values(ids).sort();
    expect(await listed("ann")).toEqual(both);
    expect(await listed("ops")).toEqual(both);
    expect(await listed("bob")).toEqual([ids.edited]);
    expect(await listed("eve")).toEqual([]);
    // what may be answered is not thereby seen: the run stays its owner's
    expect(await call("bob", "GET", `/runs/${ids.edited}`)).toMatchObject({ http: 404 });
  });

  it("take any JSON, once; a body that is no answer is refused", async () => {
    for (const value of [null, 0, "", false, [], { a: [null] }]) {
      const id = await begin("plain");
      expect(await answer("ann", id, "plain", value)).toMatchObject({ http: 200, output: { answer: value } });
      expect(await answer("ann", id, "plain", value)).toMatchObject({ http: 409, code: "CONFLICT" });
    }
    const id = await begin("plain");
    expect(await call("ann", "POST", `/runs/${id}/waits/plain%2Fask`, { reply: 1 })).toMatchObject({ http: 400 });
    expect(await call("ann", "POST", `/runs/${id}/waits/plain%2Fnone`, { answer: 1 })).toMatchObject({ http: 404 });
    const many = await Promise.all([1, 2, 3, 4].map((value) => answer("ann", id, "plain", value)));
    expect(many.map(({ http }) => http).sort()).toEqual([200, 409, 409, 409]);
  });

  it("signals are sent to a run by name", async () => {
    const id = await begin("hears");
    const send = (name: string, value: unknown) => call("ann", "POST", `/runs/${id}/signals/${name}`, { value });
    expect(await send("stop", 1)).toMatchObject({ http: 404 });
    expect(await send("go", "one")).toMatchObject({ http: 400, code: "BAD_INPUT" });
    expect(await call("eve", "POST", `/runs/${id}/signals/go`, { value: 1 })).toMatchObject({ http: 404 });
    expect(await send("go", 1)).toMatchObject({ http: 200, status: "done", output: { value: 1 } });
    expect(await send("go", 1)).toMatchObject({ http: 409 });
  });

  it("a key for some flows answers no others", async () => {
    const id = await begin("plain");
    own.keys.few = (
      await own.service.key({ principal: { id: "ann" }, scopes: ["run"], flows: ["hears"] } as never)
    ).headers;
    expect(await answer("few", id, "plain", 1)).toMatchObject({ http: 404 });
    expect((await call("few", "GET", "/runs?state=waiting")).runs).toEqual([]);
  });
});
