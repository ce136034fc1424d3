import { connect, type Socket } from "node:net";

export interface Load {
  readonly port: number;
  /** A whole request, as it is written to the connection; a function makes each anew. */
  readonly request: string | (() => string);
  readonly clients: number;
  readonly requests: number;
  /** Fails the bench where an answer is not what was asked for. */
  readonly isRight: (status: number, body: string) => boolean;
}

/** A POST of JSON over a connection that stays open. */
export function postRequest(path: string, body: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    host: "127.0.0.1",
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** One client: sends the next request when the answer to the last is whole. */
function client({ port, request, isRight }: Load, next: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, "127.0.0.1");
    let waiting = "";
    const send = () => {
      if (next()) socket.write(typeof request === "string" ? request : request(), "latin1");
      else socket.end();
    };
    socket.setNoDelay(true).setEncoding("latin1");
    socket
      .once("connect", send)
      .once("error", reject)
      .once("close", () => resolve());
    socket.on("data", (part: string) => {
      waiting += part;
      const head = waiting.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(waiting)?.[1]);
      if (!(waiting.length >= head + 4 + length)) return;
      if (!isRight(Number(waiting.slice(9, 12)), waiting.slice(head + 4))) {
        socket.destroy();
        return reject(new Error(`answered ${waiting.slice(0, 300)}`));
      }
      waiting = "";
      send();
    });
  });
}

/** Sends requests from several clients at once, each over one connection; gives answers a second. */
export async function httpLoad(load: Load): Promise<number> {
  let left = load.requests;
  const start = performance.now();
  await Promise.all(Array.from({ length: load.clients }, () => client(load, () => left-- > 0)));
  return (load.requests * 1000) / (performance.now() - start);
}
