// What index.js exports.

/** What went wrong. `Panic` is a fault of the module, or the end of its memory: it is dead then. */
export type ErrorKind =
  | "Params" | "Logits" | "Limit" | "NoAdapter" | "OutOfMemory" | "Validation" | "DeviceLost" | "Mismatch"
  | "NotSubmitted" | "Timeout" | "Log" | "Panic" | "Other";

export class SortilegeError extends Error {
  readonly kind: ErrorKind;
  /** The row of the batch that is at fault, where it is one: without it the others can be asked again. */
  readonly row?: number;
}

/** Element types of logits. */
export type Dtype = "f32" | "f16" | "bf16";

/** The kernels behind a kind of call. */
export type Kernels = "logprobs" | "long_lists" | "sample" | "long_sample_lists" | "token_ranks" | "divergence";

/** Steps between logits and draw. */
export type SamplingStep =
  | "temperature" | "top_k" | "top_p" | "min_p" | "typical_p" | "top_n_sigma" | "top_a" | "epsilon_cutoff" | "eta_cutoff"
  | "xtc" | "mirostat" | "p_less" | "top_h";

/** Parameters in the words of vLLM and llama.cpp; docs/sampling.md defines each. All may be missing. */
export interface SamplingParams {
  temperature?: number;
  dynatemp_range?: number;
  dynatemp_exponent?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  typical_p?: number;
  top_n_sigma?: number;
  top_a?: number;
  epsilon_cutoff?: number;
  eta_cutoff?: number;
  xtc_threshold?: number;
  xtc_probability?: number;
  xtc_exempt_token_ids?: number[];
  p_less?: boolean;
  top_h?: number;
  mirostat?: { tau: number; eta?: number };
  order?: "vllm" | "llama" | SamplingStep[];
  logit_bias?: Record<number, number>;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  penalty_last_n?: number;
  penalty_exempt_token_ids?: number[];
  no_repeat_ngram_size?: number;
  no_repeat_ngram_window?: number;
  dry?: { multiplier?: number; base?: number; allowed_length?: number; last_n?: number; sequence_breakers?: number[] };
  bad_words?: number[][];
  min_tokens?: number;
  /** Tokens of the output with which the request has finished. */
  max_tokens?: number;
  /** What ends the request: rows behind one of them draw nothing. */
  stop_token_ids?: number[];
  allowed_token_ids?: number[];
  seed?: number | bigint;
  stream?: number;
  /** Draws of one row, of which `Request.accept` takes the first: not OpenAI's `n`, which is several completions. */
  n?: number;
  /** Entries, up to 2^20, of which there are at most as many as tokens; more than 1024 take further passes. */
  raw_logprobs?: number;
  processed_logprobs?: number;
  logprob_token_ids?: number[];
  /** True by default. */
  entropy?: boolean;
}

/** Logits `[rows][vocab]`: in memory, or in a buffer of the sampler's device with the usage STORAGE. */
export type Logits = Float32Array | Uint16Array | Uint8Array | ArrayBufferView | GPUBuffer;

export interface LogitsOptions {
  /** 1 by default. */
  rows?: number;
  /** Tokens of a row; of logits in memory what the rows leave, by default. */
  vocab?: number;
  /** Elements from the start of one row to the start of the next. */
  rowStride?: number;
  /** Of a Float32Array and of a GPUBuffer f32 by default. */
  dtype?: Dtype;
  /** Bytes to the first logit. */
  byteOffset?: number;
}

export interface LogprobsOptions extends LogitsOptions {
  /** Most probable tokens to list, 5 by default. */
  topLogprobs?: number;
  temperature?: number;
  /** False by default. */
  entropy?: boolean;
  /** For each row the token whose logprob and rank are wanted. */
  targets?: ArrayLike<number | null | undefined>;
  /** For each row tokens of which logprobs and ranks are wanted. */
  tokenIds?: ArrayLike<ArrayLike<number>>;
  /** Number of the request in the records. */
  request?: number;
  /** Position of the first row in the records. */
  firstPosition?: number;
}

export interface SampleOptions extends LogitsOptions {
  /** Allowed tokens, a bit each, `[rows][ceil(vocab / 32)]`, as xgrammar packs them. */
  mask?: ArrayLike<number>;
  /** Where the first drawn token of each row goes, u32: a buffer of the device with the usage COPY_DST. The logits must lie in a
   * buffer, too. */
  tokens?: GPUBuffer;
  /** Bytes to the first of them. */
  tokensOffset?: number;
}

export interface VerifyOptions extends SampleOptions {
  /** Probabilities of the draft, `[rows][vocab]`, for drafts that are verified by rejection or as a block. */
  draftProbabilities?: ArrayLike<number>;
}

/** Draft tokens for a request; the logits have a row for the text before them, then one after each. */
export interface Draft {
  request: Request;
  tokens: ArrayLike<number>;
  /** Of a tree: for each token the place of the one before it, earlier in the list; null where that is the text. */
  parents?: ArrayLike<number | null>;
  /** Number of the first token in the output, from 0 after the prompt; the next one by default. */
  position?: number;
  /** `"match"`, the default: the tokens are those of plain decoding. `"rejection"`: more stand, the distribution is that of plain
   * decoding; it wants `draftProbabilities`. `"block"`: still more, for the same; at most 64 tokens, no tree; tokens of a position that is
   * drafted again are drawn with other random numbers. In a tree at most 64 tokens after the same one are tried, in turn: draw them
   * without replacement, from the probabilities of the row after that one. */
  verification?: "match" | "rejection" | "block";
}

/** What became of draft tokens. */
export interface Verified {
  /** The places of those that stand. */
  accepted: number[];
  /** The records of the new tokens, the accepted ones and one more, fewer where the request finishes or a row is no distribution: give
   * each to `Request.accept`. */
  records: SampleRecord[];
}

/** How far two distributions are from each other, in nats; NaN unless both are distributions. */
export interface Divergence {
  kl: number;
  reverse_kl: number;
  jensen_shannon: number;
  statuses: [Status, Status];
}

export type Status = "ok" | string;

/** Why a request has finished: it accepted a stop token, or it has its `max_tokens`. */
export type FinishReason = "stop" | "length";

/** A token of a list. A logprob of null is minus infinity, which JSON has not. */
export interface TokenLogprob {
  token: number;
  text: string | null;
  bytes: number[] | null;
  logprob: number | null;
}

export interface GivenToken extends TokenLogprob {
  rank: number;
  set_logprob: number | null;
}

/** What a log says of a row: its most probable tokens, and its target. */
export interface LogprobsRecord {
  request: number;
  position: number;
  token: number | null;
  text: string | null;
  bytes: number[] | null;
  logprob: number | null;
  rank: number | null;
  logsumexp: number | null;
  entropy: number | null;
  top: TokenLogprob[];
  token_logprobs?: GivenToken[];
  status: Status;
}

export interface DistributionRecord {
  status: Status;
  logsumexp: number | null;
  entropy: number | null;
  top: TokenLogprob[];
  token_logprobs?: GivenToken[];
}

export interface DrawRecord {
  token: number;
  text: string | null;
  bytes: number[] | null;
  logprob: number;
  rank: number;
  raw_logprob: number | null;
  raw_rank: number | null;
}

/** What a log says of a row: the tokens that were drawn, and from what. */
export interface SampleRecord {
  /** The place of its request, or of its draft, in the call: for a log put in the number that the request has there. */
  request: number;
  position: number;
  status: Status;
  /** Why the request has finished, with this row or before it; missing while it goes on. A row behind the end draws nothing: its status
   * is `"finished"`. */
  finish_reason?: FinishReason;
  seed: number | bigint;
  stream: number;
  temperature: number | null;
  kept: number;
  kept_mass: number | null;
  draws: DrawRecord[];
  processed: DistributionRecord;
  raw: DistributionRecord | null;
}

/** A request in the making: its parameters, its seed, and the tokens that penalties look at. */
export class Request {
  constructor(params?: SamplingParams, options?: { prompt?: ArrayLike<number> });
  readonly params: SamplingParams;
  /** The seed of its draws: a number, or a bigint from 2^53 on. */
  readonly seed: number | bigint;
  /** The accepted tokens. */
  readonly output: number[];
  /** Null while it goes on. */
  readonly finishReason: FinishReason | null;
  /** Other parameters from the next row on; the seed stays unless they name one. */
  setParams(params: SamplingParams): void;
  /**
   * Takes the first drawn token of a record of `sample` into the output, or a token that was not drawn here. A record of another
   * request, by its seed and stream, or one that is not the next, by its position, is an error.
   */
  accept(drawn: SampleRecord | number): void;
}

/** A request, and the token that is drawn for it. */
export interface RequestAt {
  request: Request;
  /** Number of the token in the output, from 0 after the prompt; the next one by default. */
  position?: number;
}

export interface SamplerOptions {
  /** The page's own device; by default one is opened. With one there is no CPU engine in its place. */
  device?: GPUDevice;
  /** `"auto"`, the default: WebGPU, or the CPU engine where the browser gives no device. */
  engine?: "auto" | "webgpu" | "cpu";
  powerPreference?: GPUPowerPreference;
  /** Where the module is, if not beside index.js. */
  module?: string | URL | Response | BufferSource | WebAssembly.Module;
}

/**
 * Calls take logits in memory, parameters and masks as they are when they are made. On a `GPUBuffer` a call is submitted before it
 * returns, so after all that the page submitted before and before what it submits next, once kernels of its kind and its type of
 * logits are prepared: the first call of each, without `prepare`, is submitted later, and the buffers are its own until then.
 */
export class Sampler {
  private constructor();
  static create(options?: SamplerOptions): Promise<Sampler>;
  readonly device?: GPUDevice;
  readonly engine: "webgpu" | "cpu";
  /** Why it is the CPU engine where `"auto"` found no WebGPU. */
  readonly fallbackReason?: string;
  /** Compiles the kernels for a type of logits, `"logprobs"` and `"f32"` by default, and checks the device's arithmetic, so that the
   * first step does not wait. */
  prepare(kernels?: Kernels, dtype?: Dtype): Promise<void>;
  /** Compares the device with the CPU engine, bit for bit; an error of the kind `Mismatch` where a bit differs. */
  selfCheck(kernels?: Kernels, dtype?: Dtype): Promise<void>;
  /** A record for each row: its most probable tokens, and logprob and rank of its target. */
  logprobs(logits: Logits, options?: LogprobsOptions): Promise<LogprobsRecord[]>;
  /** A record for each row: the tokens that its request drew, and from what. `requests` has one for each row. */
  sample(
    logits: Logits,
    requests: Iterable<Request | RequestAt>,
    options?: SampleOptions,
  ): Promise<SampleRecord[]>;
  /** Speculative decoding: what becomes of draft tokens. `rows` is by default what the drafts need. */
  verify(logits: Logits, drafts: Iterable<Draft>, options?: VerifyOptions): Promise<Verified[]>;
  /** `[rows]` */
  rowMax(logits: Logits, options?: LogitsOptions): Promise<Float32Array>;
  /** `[rows]` */
  logSumExp(logits: Logits, options?: LogitsOptions): Promise<Float32Array>;
  /** `[rows][vocab]` */
  logSoftmax(logits: Logits, options?: LogitsOptions): Promise<Float32Array>;
  /** The `k` largest logits of each row and their tokens, `[rows][k]`; past the last possible one -Infinity and 2^32 - 1. */
  topK(logits: Logits, k: number, options?: LogitsOptions): Promise<{ values: Float32Array; tokens: Uint32Array }>;
  /** Of each row of `logits` from the same row of `others`, whose options may differ. */
  divergence(logits: Logits, others: Logits, options?: LogitsOptions, second?: LogitsOptions): Promise<Divergence[]>;
}

export type LogFormat = "jsonl" | "csv" | "openai" | "openai-completions" | "vllm" | "llama-server";

/** A log of records. `tokenBytes` says the bytes of a token. The module must be loaded: `load`, or a sampler was created. */
export function formatLog(
  records: (LogprobsRecord | SampleRecord)[],
  format?: LogFormat,
  options?: { tokenBytes?: (token: number) => Uint8Array | string | undefined },
): string;

/** Loads the module, once, before anything else that needs it; `Sampler.create` does. */
export function load(module?: SamplerOptions["module"]): Promise<void>;

/** Version of the library, and of its arithmetic. */
export function versions(): Promise<{ version: string; arithmetic: number }>;
