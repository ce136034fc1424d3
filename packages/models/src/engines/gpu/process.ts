import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { DeviceDecoder } from "./decoder.js";
import { type Device, openDevice } from "./device.js";
import { DeviceEncoder } from "./encoder.js";
import { measure } from "./measure.js";
import type { Reply, Request, Requests } from "./protocol.js";

// The process that owns the GPU. Native code may abort it; its owner starts another. It ends by process.exit: Dawn keeps
// a process alive, and aborts one that lets go of its instance.

let device: Device | undefined;
let half = false;
const encoders = new Map<number, DeviceEncoder>();
const decoders = new Map<number, DeviceDecoder>();

const opened = (): Device => {
  if (device) return device;
  throw new TesseraError("MODEL_FAILED", "the GPU was not opened");
};

function of<T>(sessions: Map<number, T>, session: number): T {
  const found = sessions.get(session);
  if (found) return found;
  throw new TesseraError("CLOSED", "the model is not loaded");
}

async function answer(request: Request): Promise<Requests[keyof Requests]["answer"]> {
  switch (request.kind) {
    case "open":
      device = await openDevice(request.memory, request.units);
      void device.lost.then(({ message }) => {
        process.stderr.write(`the GPU was lost: ${message}\n`);
        process.exit(70);
      });
      half = request.half && device.info.features.includes("shader-f16");
      return { ...device.info, dtype: half ? "fp16" : "fp32" };
    case "encoder":
      encoders.set(request.session, new DeviceEncoder(opened(), request.model, half));
      return undefined;
    case "encode":
      return of(encoders, request.session).encode(request.batch, request.exit);
    case "margin":
      return of(encoders, request.session).encodeByMargin(request.batch, request.policy);
    case "decoder":
      decoders.set(request.session, new DeviceDecoder(opened(), request.model, request.cache, half));
      return undefined;
    case "step":
      return of(decoders, request.session).step(request.batch);
    case "release":
      for (const sessions of [encoders, decoders]) {
        sessions.get(request.session)?.release();
        sessions.delete(request.session);
      }
      return undefined;
    case "memory":
      return opened().used;
    case "measure":
      return measure(opened(), request.what, half);
  }
}

let last: Promise<void> = Promise.resolve();
process.on("message", (request: Request) => {
  last = last.then(async () => {
    let reply: Reply;
    try {
      reply = { number: request.number, answer: await answer(request) };
    } catch (error) {
      const { code = "MODEL_FAILED", hint } = error instanceof TesseraError ? error : {};
      reply = { number: request.number, error: { code, message: messageOf(error), hint } };
    }
    process.send?.(reply);
  });
});
process.on("disconnect", () => process.exit(0));
