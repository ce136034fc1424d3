import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");

/**
 * A Vulkan driver in software: the one that TESSERA_VULKAN_DRIVER names, lavapipe as apps/setup/lavapipe.sh unpacks it, or
 * SwiftShader, which Debian's chromium brings and which has neither fp16 nor matrix units.
 */
export const softwareDriver = [
  process.env.TESSERA_VULKAN_DRIVER ?? "",
  join(cache, "tessera/lavapipe/lvp_icd.json"),
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
].find((path) => path !== "" && existsSync(path));

export const withoutDriver =
  "no Vulkan driver in software: run apps/setup/lavapipe.sh, install chromium, or set TESSERA_VULKAN_DRIVER";
export const withoutHalf = "the driver in software has no fp16: run apps/setup/lavapipe.sh";
export const withoutUnits = "the driver in software has no matrix units: run apps/setup/lavapipe.sh";
