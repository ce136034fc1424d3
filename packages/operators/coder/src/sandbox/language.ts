// public: Language
import { z } from "zod";

export const language = z.enum(["javascript", "typescript", "python"]);
/** A language that the sandbox runs. */
export type Language = z.infer<typeof language>;
