// public: freePort, stubServer, stubService
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createPort } from "node:net";
import { afterAll, beforeAll } from "@jest/globals";

/** A port of this machine on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createPort();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** An HTTP service on this machine. It is asked for an answer once the body of a request is there. */
export function stubServer(answer: Answer) {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => answer(request, response, Buffer.concat(parts).toString()));
  });
  const origin = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    /** Its address without a path, once it has started. */
    get origin(): string {
      return origin();
    },
    start: () => new Promise<string>((resolve) => server.listen(0, "127.0.0.1", () => resolve(origin()))),
    stop(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The same for a test file: it starts before the first test and stops after the last. */
export function stubService(answer: Answer): { readonly origin: string } {
  const server = stubServer(answer);
  beforeAll(() => server.start());
  afterAll(() => server.stop());
  return server;
}
