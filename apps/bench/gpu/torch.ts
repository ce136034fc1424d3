import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf } from "@tessera/core/internal";
import type { Report } from "./report.js";

/** What torch reached, by the names of torch_rivals.py. */
export type TorchFigures = ReadonlyMap<string, number>;

/** E7: the same models in torch, compiled and with CUDA graphs, where the machine's Python has it. */
export async function torchFigures(report: Report): Promise<TorchFigures> {
  const figures = new Map<string, number>();
  const python = process.env.TESSERA_PYTHON ?? "python3";
  const script = fileURLToPath(new URL("./torch_rivals.py", import.meta.url));
  try {
    const { stdout } = await promisify(execFile)(python, [script, ...(report.tiny ? ["--tiny"] : [])], {
      timeout: 400_000,
      maxBuffer: 2 ** 24,
    });
    for (const line of stdout.split("\n").filter((line) => line.startsWith("{"))) {
      const found = JSON.parse(line) as { name: string; value?: number };
      report.line(found);
      if (found.value !== undefined) figures.set(found.name, found.value);
    }
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    report.missing("E7", "torch", stderr?.trim().split("\n").at(-1) || messageOf(error));
  }
  return figures;
}

/** What our engine reached on the same models; undefined where it was not measured. */
export interface OwnFigures {
  /** texts/s */
  encoder?: number;
  /** tokens/s of 128 sequences */
  decode?: number;
  /** tokens/s of one sequence */
  alone?: number;
}

/** Ratios, and what they say about the reserve route: it is to be built below 15 % for the encoder or 10 % for decoding. */
export function decide(report: Report, own: OwnFigures, torch: TorchFigures): void {
  const share = (name: string, mine: number | undefined, rival: number | undefined): number | undefined => {
    if (mine === undefined || rival === undefined) return undefined;
    report.figure("E7", `${name}, of torch's`, mine / rival, "share");
    return mine / rival;
  };
  const encoder = share("encoder", own.encoder, torch.get("encoder"));
  const decode = share("decode, many sequences", own.decode, torch.get("decode, many sequences"));
  share("decode, one sequence", own.alone, torch.get("decode, one sequence"));
  if (encoder === undefined || decode === undefined) {
    report.missing("E7", "decision about the reserve route", "it takes torch's figures and ours");
    return;
  }
  report.figure("E7", "decision", encoder < 0.15 || decode < 0.1 ? "build the reserve route" : "stay with WGSL", "");
}
