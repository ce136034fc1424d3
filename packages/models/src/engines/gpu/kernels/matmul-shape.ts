import type { Count, Kernel, Numbers } from "./kernel.js";

/** "gated": rows of W alternate between gate and up, and the output is silu(gate) ⊙ up, half as wide. */
export type Activation = "none" | "gelu-tanh" | "gelu-erf" | "gated";

/**
 * y = activation(x Wᵀ + bias), or y += that; x [rows, inputs], W [outputs, inputs], sums in fp32.
 * Grouped: W [experts, outputs, inputs], and each tile of rows belongs to one expert, as `expertTiles` laid them out.
 */
export interface MatmulShape {
  readonly inputs: number;
  readonly outputs: number;
  readonly rows: Count;
  readonly weights?: Numbers;
  readonly from?: Numbers;
  readonly to?: Numbers;
  readonly bias?: boolean;
  readonly activation?: Activation;
  /** Adds to what is in `y` instead of replacing it. */
  readonly residual?: boolean;
  /** Experts: a row is a place (token, choice); `top` choices a token; the input has one row a token, or one a place. */
  readonly grouped?: { readonly experts: number; readonly top: number; readonly input: "token" | "place" };
}

/** A product with the rows and columns of y that one workgroup computes. */
export interface Matmul {
  readonly kernel: Kernel;
  readonly rows: number;
  readonly columns: number;
}
