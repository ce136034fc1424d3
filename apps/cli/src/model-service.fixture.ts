import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly key: string | undefined;
  readonly body: { readonly model: string; readonly messages: readonly { readonly content: string }[] };
}

/** A service that speaks OpenAI's chat completions and says what a function gives: a stub, no model. */
export function modelService(say: (asked: Asked) => string) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => {
      text += part.toString();
    });
    request.on("end", () => {
      if (request.method === "GET") return void response.end(JSON.stringify({ data: [{ id: "tiny" }] }));
      const one = { key: request.headers.authorization, body: JSON.parse(text) };
      asked.push(one);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const event = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      for (const content of say(one).match(/.{1,12}/gs) ?? []) event({ choices: [{ delta: { content } }] });
      event({ choices: [{ delta: {}, finish_reason: "stop" }] });
      response.end("data: [DONE]\n\n");
    });
  });
  return {
    asked,
    /** @returns its address, up to and with the version */
    start: () =>
      new Promise<string>((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`)),
      ),
    stop(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}
