/** A compute program: WGSL with one entry point `main`; its buffers are bound in the order of `kernel`'s declarations. */
export interface Kernel {
  readonly name: string;
  readonly wgsl: string;
  /** How each buffer is used, in order. */
  readonly buffers: readonly string[];
}

/** How numbers are stored; all sums are fp32. */
export type Numbers = "f32" | "f16";
type Element = Numbers | "u32" | `vec4<${Numbers}>`;
/** "f32" and so on are read; "out f32" is written or both. */
type Access = Element | `out ${Element}` | "atomic u32";

/**
 * Puts the declarations of buffers before the WGSL of a kernel. Shapes are constants of the source; what changes from
 * step to step (numbers of tokens, of texts) comes from a buffer, so that the device itself may change it.
 */
export function kernel(
  name: string,
  buffers: Readonly<Record<string, Access>>,
  body: string,
  extensions: readonly string[] = [],
): Kernel {
  const declarations = Object.entries(buffers).map(([buffer, access], i) => {
    const element = access.split(" ").at(-1);
    const type = access.startsWith("atomic") ? `atomic<${element}>` : element;
    const mode = access.includes(" ") ? "read_write" : "read";
    return `@group(0) @binding(${i}) var<storage, ${mode}> ${buffer}: array<${type}>;`;
  });
  const half = Object.values(buffers).some((access) => access.includes("f16"));
  const enabled = [...(half ? ["f16"] : []), ...extensions].map((extension) => `enable ${extension};\n`);
  return { name, buffers: Object.keys(buffers), wgsl: `${enabled.join("")}${declarations.join("\n")}\n${body}` };
}

/** Places in the buffer of counts, which every kernel that works on rows reads. */
export const counts = { tokens: 0, texts: 1, drawn: 2 } as const;
export type Count = keyof typeof counts;

/** Threads of a workgroup in the kernels that give each row one workgroup. */
export const rowThreads = 64;

/** Rows of a tile of grouped products, whichever kernel computes them. */
export const groupedRows = 32;

/** The sum of `value` over a workgroup of `rowThreads`, in the same order every time; ends with a barrier. */
export const workgroupSum = `
var<workgroup> partial: array<f32, ${rowThreads}>;
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  var width = ${rowThreads / 2}u;
  loop {
    if (width == 0u) { break; }
    if (thread < width) { partial[thread] += partial[thread + width]; }
    workgroupBarrier();
    width /= 2u;
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}`;

/**
 * In a workgroup of `rowThreads`: the sum of the values of all threads before this one, and of all of them.
 * Ends with a barrier (Hillis and Steele 1986).
 */
export const workgroupScan = `
struct Scan { before: u32, all: u32 }
var<workgroup> scanned: array<u32, ${rowThreads}>;
fn workgroup_scan(thread: u32, value: u32) -> Scan {
  scanned[thread] = value;
  workgroupBarrier();
  for (var step = 1u; step < ${rowThreads}u; step *= 2u) {
    let other = select(0u, scanned[max(thread, step) - step], thread >= step);
    workgroupBarrier();
    scanned[thread] += other;
    workgroupBarrier();
  }
  let result = Scan(scanned[thread] - value, scanned[${rowThreads - 1}u]);
  workgroupBarrier();
  return result;
}`;
