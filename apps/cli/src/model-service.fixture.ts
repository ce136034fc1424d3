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

/** A service that embeds and reranks in the form of text-embeddings-inference by the letters of texts: a stub, no model. */
export async function formsService() {
  const paths: string[] = [];
  const letters = (text: string) =>
    Array.from("abcdefghijklmnopqrstuvwxyz", (letter) => text.split(letter).length - 1 + 0.01);
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => {
      text += part.toString();
    });
    request.on("end", () => {
      paths.push(request.url!);
      const { inputs, query, texts } = JSON.parse(text) as { inputs?: string[]; query?: string; texts?: string[] };
      const scores = (texts ?? []).map((one, index) => ({ index, score: one.includes(query ?? "") ? 1 : 0 }));
      response.end(JSON.stringify(inputs ? inputs.map(letters) : scores));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    paths,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}
