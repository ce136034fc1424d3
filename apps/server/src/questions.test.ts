import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { approvalOf } from "@tessera/testkit";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
const keys: Record<string, { authorization: string }> = {};
const approval = approvalOf("query");

beforeAll(async () => {
  service = await startService(folder);
  keys.ann = (await service.key({ principal: { id: "ann" }, scopes: ["run", "flows"] } as never)).headers;
  keys.eve = (await service.key({ principal: { id: "eve" }, scopes: ["run"] } as never)).headers;
  expect(await post("ann", "/flows/approval", approval, "PUT")).toMatchObject({ http: 201 });
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

// biome-ignore lint/suspicious/noExplicitAny: whatever the service says
async function post(who: string, url: string, payload: object, method = "POST", more: object = {}): Promise<any> {
  const headers = { ...keys[who], ...more };
  const answer = await service.server.inject({ method, url, headers, payload } as never);
  return { ...answer.json(), http: answer.statusCode };
}

type Message = { role: string; content: string };
const chat = (who: string, messages: Message[]) => post(who, "/v1/chat/completions", { model: "approval", messages });
const tea: Message = { role: "user", content: "tea" };

describe("a run that waits, as a chat", () => {
  it("asks by a message of the assistant, and takes the next message of the user as the answer", async () => {
    const asked = await chat("ann", [tea]);
    const { message } = asked.choices[0];
    expect(message.content).toMatch(
      /^About tea\.\n\nAnswer with one of: yes, no\.\n\n\(run \S+ waits at approval\/approve\)$/,
    );
    const answered = await chat("ann", [tea, message, { role: "user", content: "yes" }]);
    expect(answered.choices[0].message.content).toBe("Sent: About tea.");
    // one run, which was answered once
    const id = /run (\S+)/.exec(message.content)![1];
    expect(await service.runs.get(id!)).toMatchObject({ status: "done" });
    expect(await chat("ann", [tea, message, { role: "user", content: "yes" }])).toMatchObject({ http: 409 });
  });

  it("refuses an answer that does not fit, and waits on", async () => {
    const { message } = (await chat("ann", [tea])).choices[0];
    expect(await chat("ann", [tea, message, { role: "user", content: "perhaps" }])).toMatchObject({ http: 400 });
    const { choices } = await chat("ann", [tea, message, { role: "user", content: "no" }]);
    expect(choices[0].message.content).toBe("nothing was sent");
  });

  it("answers nobody else's run, whoever copies the message", async () => {
    const { message } = (await chat("ann", [tea])).choices[0];
    expect(await chat("eve", [tea, message, { role: "user", content: "yes" }])).toMatchObject({ http: 404 });
    const id = /run (\S+)/.exec(message.content)![1];
    expect(await service.runs.get(id!)).toMatchObject({ status: "waiting" });
  });
});

describe("a run that waits, as a tool of MCP", () => {
  it("says what it asks, and where to answer", async () => {
    const call = {
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "approval", arguments: { query: "tea" } },
    };
    const accept = { accept: "application/json, text/event-stream" };
    const { result } = await post("ann", "/mcp", call, "POST", accept);
    const { run, status, waits } = result._meta;
    expect(status).toBe("waiting");
    expect(waits).toMatchObject([{ path: "approval/approve", schema: { enum: ["yes", "no"] } }]);
    expect(result.content[0].text).toContain("About tea.");
    expect(result.content[0].text).toContain(`POST /runs/${run}/waits/approval%2Fapprove`);
    const answered = await post("ann", `/runs/${run}/waits/approval%2Fapprove`, { answer: "yes" });
    expect(answered).toMatchObject({ status: "done" });
  });
});
