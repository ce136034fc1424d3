// public: softwareDriver, halfDriver, withoutDriver, withoutHalf, withoutUnits
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
const named = process.env.TESSERA_VULKAN_DRIVER ?? "";
const lavapipe = join(cache, "tessera/lavapipe/lvp_icd.json");
const first = (...paths: string[]): string | undefined => paths.find((path) => path !== "" && existsSync(path));

/**
 * A Vulkan driver in software: the one that TESSERA_VULKAN_DRIVER names, or SwiftShader, which Debian's chromium brings
 * and which compiles fastest, or lavapipe.
 */
export const softwareDriver = first(
  named,
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
  lavapipe,
);

/** One with fp16 and matrix units: lavapipe, as apps/setup/lavapipe.sh unpacks it. */
export const halfDriver = first(named, lavapipe);

export const withoutDriver = "no Vulkan driver in software: install chromium, or set TESSERA_VULKAN_DRIVER";
export const withoutHalf = "no Vulkan driver in software with fp16: run apps/setup/lavapipe.sh";
export const withoutUnits = "no Vulkan driver in software with matrix units: run apps/setup/lavapipe.sh";
