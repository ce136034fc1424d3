// public: weightsFolder
import { fileURLToPath } from "node:url";

/** The folder of the bundles: one folder for each model, by its name. `openCodeEncoder` and others find it by themselves. */
export const weightsFolder: string = fileURLToPath(new URL("../bundles", import.meta.url));
