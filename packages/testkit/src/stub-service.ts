// public: freePort, stubService
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

/**
 * An HTTP service of a test file, which listens before its first test and ends after its last. It is called once the body
 * of a request is there.
 */
export function stubService(answer: (request: IncomingMessage, response: ServerResponse, body: string) => void): {
  /** Its address without a path; it can be read once the tests run. */
  readonly origin: string;
} {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => answer(request, response, Buffer.concat(parts).toString()));
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    get origin() {
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
  };
}
