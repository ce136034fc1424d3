// loaded into the GPU's process by a test: the GPU opens, and every model is refused; the process's id goes to a file
import { writeFileSync } from "node:fs";

const info = { device: "planted", software: false, features: [], dtype: "fp32" };
if (process.send) {
  writeFileSync(process.env.TESSERA_PLANTED_PID, String(process.pid));
  // answers before the process's own listener does; a second answer to a call is passed over
  process.on("message", ({ number, kind }) =>
    process.send(
      kind === "open"
        ? { number, answer: info }
        : { number, error: { code: "MODEL_FAILED", message: "the model was refused" } },
    ),
  );
}
