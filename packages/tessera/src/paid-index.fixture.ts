// indexes a folder with an encoder at an address: node … paid-index.fixture.ts <address> <root> <folder>
import { endpointEncoder } from "@tessera/models";
import { updateCodebase } from "./codebase.js";

const [baseUrl = "", root = "", folder = ""] = process.argv.slice(2);
const encoder = endpointEncoder({ baseUrl, model: "paid-one", paid: true, retries: 0 });
const { codebase } = await updateCodebase({ root, folder, encoder });
console.log((await codebase.passages()).length);
