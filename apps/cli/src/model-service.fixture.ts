import { stubServer } from "@tessera/testkit";

export interface Asked {
  readonly key: string | undefined;
  readonly body: { readonly model: string; readonly messages: readonly { readonly content: string }[] };
}

/** A service that speaks OpenAI's chat completions and says what a function gives: a stub, no model. */
export function modelService(say: (asked: Asked) => string) {
  const asked: Asked[] = [];
  const server = stubServer((request, response, text) => {
    if (request.method === "GET") return void response.end(JSON.stringify({ data: [{ id: "tiny" }] }));
    const one = { key: request.headers.authorization, body: JSON.parse(text) };
    asked.push(one);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
    for (const content of say(one).match(/.{1,12}/gs) ?? []) event({ choices: [{ delta: { content } }] });
    event({ choices: [{ delta: {}, finish_reason: "stop" }] });
    response.end("data: [DONE]\n\n");
  });
  return {
    asked,
    /** @returns its address, up to and with the version */
    start: async () => `${await server.start()}/v1`,
    stop: server.stop,
  };
}

/** A service that embeds and reranks in the form of text-embeddings-inference by the letters of texts: a stub, no model. */
export async function formsService() {
  const paths: string[] = [];
  const letters = (text: string) =>
    Array.from("abcdefghijklmnopqrstuvwxyz", (letter) => text.split(letter).length - 1 + 0.01);
  const server = stubServer((request, response, text) => {
    paths.push(request.url!);
    const { inputs, query, texts } = JSON.parse(text) as { inputs?: string[]; query?: string; texts?: string[] };
    const scores = (texts ?? []).map((one, index) => ({ index, score: one.includes(query ?? "") ? 1 : 0 }));
    response.end(JSON.stringify(inputs ? inputs.map(letters) : scores));
  });
  return { paths, url: await server.start(), stop: server.stop };
}
