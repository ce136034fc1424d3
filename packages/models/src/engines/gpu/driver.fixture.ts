import { existsSync } from "node:fs";

/** A Vulkan driver in software, as Debian's chromium brings it, or the one that TESSERA_VULKAN_DRIVER names. */
export const softwareDriver = [
  process.env.TESSERA_VULKAN_DRIVER ?? "",
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
].find((path) => path !== "" && existsSync(path));

export const withoutDriver = "no Vulkan driver in software: install chromium, or set TESSERA_VULKAN_DRIVER";
